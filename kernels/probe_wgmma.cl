// Asks whether the driver takes the tensor cores by warpgroup (wgmma) in inline PTX, and whether it computes with it:
// every result must be 32. `source` holds 2048 times 2.0f. See device/opencl/instructions.cpp.

// As in matmul_wgmma.cl: the target named in the function, more than 48 KiB of shared memory, a bulk
// copy that completes on a barrier, and a 64 x 8 x 8 TF32 product of matrices full of 2: 32.
__kernel __attribute__((reqd_work_group_size(128, 1, 1))) void probe(
    __global const float* restrict source, __global float* restrict result) {
  uint shared;
  asm volatile(".target sm_90a\n");
  asm volatile("{ .shared .align 1024 .b8 ring[196736]; mov.u32 %0, ring; }" : "=r"(shared));
  const uint filled = shared + 196608;
  if (get_local_id(0) == 0) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1; fence.proxy.async;" ::"r"(filled)
                 : "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 8192;" ::"r"(filled)
                 : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 8192, "
        "[%2];" ::"r"(shared),
        "l"(source), "r"(filled)
        : "memory");
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  uint done = 0;
  while (!done) {
    asm volatile(
        "{ .reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], 0;\n"
        "selp.u32 %0, 1, 0, p; }"
        : "=r"(done)
        : "r"(filled)
        : "memory");
  }
  const ulong matrix = (ulong)((shared & 0x3FFFF) >> 4) | 1ul << 16 | 64ul << 32 | 1ul << 62;
  float d0 = 0, d1 = 0, d2 = 0, d3 = 0;
  asm volatile(
      "wgmma.fence.sync.aligned;\n"
      "wgmma.mma_async.sync.aligned.m64n8k8.f32.tf32.tf32 {%0, %1, %2, %3}, %4, %4, 1, 1, 1;\n"
      "wgmma.commit_group.sync.aligned;\n"
      "wgmma.wait_group.sync.aligned 0;"
      : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
      : "l"(matrix)
      : "memory");
  result[get_local_id(0)] = (d0 + d1 + d2 + d3) / 4;
}
