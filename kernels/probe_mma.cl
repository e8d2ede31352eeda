// Asks whether the driver takes the tensor cores by warp (mma.sync) in inline PTX, and whether it computes with it:
// every result must be 32. `source` holds 2048 times 2.0f. See device/opencl/instructions.cpp.

// PTX ISA 9.7.14.5: a 16 x 8 x 8 TF32 product of matrices full of 2: 32.
__kernel __attribute__((reqd_work_group_size(128, 1, 1))) void probe(
    __global const float* restrict source, __global float* restrict result) {
  const uint two = as_uint(source[get_local_id(0)]);
  float d0 = 0, d1 = 0, d2 = 0, d3 = 0;
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %4, %4, %4}, "
      "{%4, %4}, {%0, %1, %2, %3};"
      : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
      : "r"(two));
  result[get_local_id(0)] = (d0 + d1 + d2 + d3) / 4;
}
