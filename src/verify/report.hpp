// The account of a proof, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "support/json.hpp"
#include "verify/ledger.hpp"

namespace dovetail::verify {

/// Where each side ran, as people should read it; empty where there was none, and then why.
struct Where {
  std::string opencl, card;
  std::string no_opencl = "there is none here", no_card = "there is none here";
};

/// A table with one line a format and kernel, or a layer with `layers`; the line of several layers
/// has the SHA-256 of its layers' hashes. Hashes are cut to 16 digits.
std::string report_text(const std::vector<Row>& rows, const Where& where, bool layers);

/// {"equal", "sides": {twin, opencl, card}, "rows": [{purpose, format, inputs, network, kernel,
/// layer, outputs, sha256: {twin, opencl, card}, equal, first_difference}]}. A side that was not
/// compared is null.
Json report_json(const std::vector<Row>& rows, const Where& where);

/// One line that names format, layer, index and both values; empty where all is equal.
std::string difference_text(const std::vector<Row>& rows, const Where& where);

}  // namespace dovetail::verify
