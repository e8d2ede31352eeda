// `dovetail devices`: what this host has for GPU ranks and FPGA ranks.
#pragma once

#include <string>
#include <vector>

#include "device/device_info.hpp"
#include "support/json.hpp"

namespace dovetail::app {

/// Every XRT card and OpenCL device of this host. Where there is no card and this build has the
/// emulated one, that is listed in its place.
std::vector<DeviceInfo> list_all_devices();

/// A table for people, or a line that says what to install where there is nothing.
std::string devices_text(const std::vector<DeviceInfo>& devices);

/// An array with an object per device: kind, index, name, platform, driver, address, memory_bytes,
/// compute_units, usable, unusable_because (empty where usable). Where a value isn't known it is
/// empty or 0.
Json devices_json(const std::vector<DeviceInfo>& devices);

/// Prints the table, or writes the JSON array to `json_file` ("-": standard output) where that isn't
/// empty. No device at all is an answer too, not a failure. Throws Error where the file cannot be
/// written.
void report_devices(const std::string& json_file);

}  // namespace dovetail::app
