// ReLU and dropout, element by element over the interior of a feature map.
//
// Built with LANES, the channels in a ReLU's vector, and BLOCKS, the random blocks that a work-item
// of dropout draws at a time. One work-group a line; its work-items share the line's vectors.
#if !defined(LANES) || !defined(BLOCKS)
#error "activation.cl needs LANES and BLOCKS"
#endif

#include "feature_line.clh"
#include "feature_map.clh"
#include "philox.clh"

// A NaN stays a NaN.
kernel void relu_forward(global const floats* x, global floats* y, constant Map* of) {
  const Map map = *of;
  const size_t line = my_line(map);
  FOR_MY_VECTORS(map) {
    const floats value = x[line + i];
    y[line + i] = select(value, (floats)(0), value < 0);
  }
}

// dx = dy where y, the ReLU's output, is above 0; all over the interior of the map.
kernel void relu_backward(global const floats* y, global const floats* dy, global floats* dx,
                          constant Map* of) {
  const Map map = *of;
  const size_t line = my_line(map);
  FOR_MY_VECTORS(map) {
    dx[line + i] = select((floats)(0), dy[line + i], y[line + i] > 0);
  }
}

// Counters are (sample, block, stream); `words` gets the four words of each of BLOCKS blocks.
void philox(uint* words, ulong sample, uint first_block, uint stream, ulong seed) {
  for (int block = 0; block < BLOCKS; ++block) {
    uint counter0 = sample;
    uint counter1 = sample >> 32;
    uint counter2 = first_block + block;
    uint counter3 = stream;
    uint key0 = seed;
    uint key1 = seed >> 32;
    PHILOX(counter0, counter1, counter2, counter3, key0, key1)
    words[4 * block] = counter0;
    words[4 * block + 1] = counter1;
    words[4 * block + 2] = counter2;
    words[4 * block + 3] = counter3;
  }
}

// y = x * scale where the element's random word >= threshold, else 0. `of` counts vectors of four
// channels, one Philox block each. y may be x.
kernel void dropout(global const float4* x, global float4* y, constant Map* of, uint threshold,
                    float scale, uint stream, ulong seed, ulong first_sample) {
  const Map map = *of;
  const size_t line = my_line(map);
  const ulong sample = first_sample + get_group_id(0) / map.rows;
  const int blocks = map.columns * map.vectors;
  const uint first_block = get_group_id(0) % map.rows * blocks;
  const int items = get_local_size(1) * get_local_size(2);
  const int item = get_local_id(2) * get_local_size(1) + get_local_id(1);
  for (int at = item * BLOCKS; at < blocks; at += items * BLOCKS) {
    uint words[4 * BLOCKS];
    philox(words, sample, first_block + at, stream, seed);
    for (int i = 0; i < min(BLOCKS, blocks - at); ++i) {
      const size_t place = line + at + i;
      y[place] = select((float4)(0), x[place] * scale, vload4(i, words) >= threshold);
    }
  }
}
