// An xclbin file in memory, as Xilinx XRT reads it.
#pragma once

#include <string>

#include "card/tool/description.hpp"

namespace dovetail::card {

/// The xclbin of a family: topology, layout, connectivity and metadata from the description, the
/// kernels' shared object in place of a bitstream. The UUID follows from the content.
std::string xclbin(const Description& description, const std::string& shared_object);

}  // namespace dovetail::card
