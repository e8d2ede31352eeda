// Shares each sum among so many work-items that few sums fill a device as well.
#include "ops/sum_chunks.hpp"

#include <cstdint>

#include "dovetail_kernels.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

constexpr int threads = 256;  // of a work-group

}  // namespace

SumChunks::SumChunks(opencl::Device& device, int size) : size_(size) {
  constexpr int few = 4096;
  lanes_ = size <= few ? 32 : 4;
  kernel_ = device.build(kernels::sum_chunks, {fmt::format("LANES={}", lanes_)})
                .kernel(kernels::sum_chunks_::sum_chunks);
}

void SumChunks::run(opencl::Device& device, const opencl::Buffer& partial,
                    const opencl::Buffer& weight, const opencl::Buffer& bias, int chunks,
                    int passes, int weights, int first) {
  const int elements = threads / lanes_;
  const int groups = (size_ + elements - 1) / elements;
  device.launch(kernel_, {{static_cast<std::size_t>(groups) * threads, 1, 1}, {threads, 1, 1}},
                partial, weight, bias, std::int32_t{chunks}, std::int32_t{passes},
                std::int32_t{size_}, std::int32_t{weights}, std::int32_t{first});
}

}  // namespace dovetail
