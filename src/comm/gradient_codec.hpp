// Gradients in fewer bytes, for the way between hosts.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace dovetail {

enum class Compression { none, bf16, fp16, int8 };
const char* to_string(Compression compression);
/// Throws UsageError for an unknown name.
Compression parse_compression(const std::string& name);

/// bf16 and fp16 round to the nearest number of the format, ties to even; numbers beyond fp16's
/// become its highest. int8 rounds to the nearest multiple of a scale that each block of
/// int8_block numbers has: its largest magnitude / 127. Infinities and NaN stay not finite (in int8
/// they make their whole block NaN), so that whoever checks the sum finds them.
inline constexpr std::size_t int8_block = 256;

/// Bytes of `count` encoded numbers.
std::size_t encoded_bytes(Compression compression, std::size_t count);
/// `code` has encoded_bytes(values.size()).
void encode(Compression compression, std::span<const float> values, std::span<std::byte> code);
void decode(Compression compression, std::span<const std::byte> code, std::span<float> values);

/// Encodes values + residual and leaves in `residual` what the code lost, so that later codes make
/// up for it: the sum of all decoded values differs from that of the true ones by the last residual
/// alone (F. Seide et al., Interspeech 2014). A residual that is not finite is dropped. `values`
/// become the decoded ones.
void encode_with_feedback(Compression compression, std::span<float> values,
                          std::span<float> residual, std::span<std::byte> code);

}  // namespace dovetail
