// Asks whether the driver takes copies past the registers (cp.async) in inline PTX, and whether it computes with it:
// every result must be 4. `source` holds 2048 times 2.0f. See device/opencl/instructions.cpp.

// PTX ISA 9.7.9.25.3: copies one word a work-item, then twice the word is the result: 4.
__kernel __attribute__((reqd_work_group_size(128, 1, 1))) void probe(
    __global const float* restrict source, __global float* restrict result) {
  __local float words[128];
  const int i = get_local_id(0);
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"((uint)(size_t)(words + i)),
               "l"(source + i)
               : "memory");
  asm volatile("cp.async.wait_all;" ::: "memory");
  barrier(CLK_LOCAL_MEM_FENCE);
  result[i] = words[i] + words[127 - i];
}
