// All parameters of a network in one number format, packed as the FPGA kernels read them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/network.hpp"

namespace dovetail::quant {

/// Bytes that travel between ranks and into files: header, layer table and blobs, closed by a
/// SHA-256. Two packs of the same network shape and format have the same size.
struct WeightPack {
  std::uint64_t version = 0;  // optimiser steps done when the weights were taken
  std::vector<std::uint8_t> bytes;
};

/// The formats of the inference engine's kernels: wXaY with X in {1, t, 2, 4, 8} and Y in {1, 2, 4,
/// 8}, and int8, int4 and int2, which are w8a8, w4a4 and w2a2.
const std::vector<std::string>& pack_formats();

/// True for the formats that the training kernels' forward pass infers in: fixed2 … fixed16, bfp2 …
/// bfp8, and int3 … int16 as far as the inference engine has them not.
bool is_forward_format(const std::string& format);

/// Both for people: "int8, int4, …, w8a8, fixed2 … fixed16, …".
std::string inference_formats();

bool is_inference_format(const std::string& format);
/// Throws UsageError, listing the formats, for one that FPGA ranks cannot infer in.
void check_inference_format(const std::string& format);

/// The kernel family (fpga::find_xclbin) that infers in a format: "w1", "w2" (ternary weights too),
/// "w4" or "w8"; "training_int8", "training_fixed16" or "training_bfp". Throws UsageError where
/// none does.
std::string kernel_family(const std::string& format);

/// Quantises a calibrated network for inference. In the inference engine's formats weights have one
/// scale an output channel, activations one a layer; the input is int8, the last layer gives int32
/// accumulators. In the others: pack_forward (training_pack.hpp). Throws Error where a layer cannot
/// be expressed, UsageError for an unknown format or a network that its kernels cannot run.
WeightPack pack(const Network& network, const std::string& format, std::uint64_t version,
                const Calibration& calibration = {});

}  // namespace dovetail::quant
