// The device's rate of float32 multiply-adds without memory: the ceiling that benchmarks compare
// with.

#ifndef VALUE
#error "define VALUE: float16 for CPUs, float for GPUs"
#endif

// 16 independent chains hide the latency. Operations: 2 x 16 x width of VALUE x rounds a work-item.
// `values`: where the chains start, a factor and a term; none is zero, since products of zeros cost
// less power than others.
__kernel void multiply_add(__global const float* values, __global VALUE* sums, int rounds) {
  VALUE chain[16];
#pragma unroll
  for (int i = 0; i < 16; ++i) chain[i] = (VALUE)(values[i]);
  const VALUE factor = (VALUE)(values[16]);
  const VALUE term = (VALUE)(values[17]);
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int i = 0; i < 16; ++i) chain[i] = chain[i] * factor + term;
  }
  VALUE sum = chain[0];
#pragma unroll
  for (int i = 1; i < 16; ++i) sum += chain[i];
  sums[get_global_id(0)] = sum;
}

// Device memory to device memory, a vector a work-item: the ceiling of everything that is bound by
// memory.
__kernel void copy(__global const VALUE* source, __global VALUE* target) {
  target[get_global_id(0)] = source[get_global_id(0)];
}
