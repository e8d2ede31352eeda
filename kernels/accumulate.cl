// Sums of partial gradients, element by element.

// sum = x + sum: in this order, which a sum by pairs keeps.
kernel void add(global const float* restrict x, global float* restrict sum, uint first, uint elements) {
  const size_t i = get_global_id(0);
  if (i < elements) sum[first + i] = x[first + i] + sum[first + i];
}

kernel void scale(global float* x, float factor, uint elements) {
  const size_t i = get_global_id(0);
  if (i < elements) x[i] *= factor;
}
