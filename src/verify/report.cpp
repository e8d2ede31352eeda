// Sums layers up to kernels, and says which sides were compared.
#include "verify/report.hpp"

#include <algorithm>

#include "support/table.hpp"
#include "support/text.hpp"

namespace dovetail::verify {
namespace {

constexpr const char* twin_place = "plain C++ on this host";
constexpr std::size_t shown_digits = 16;

std::string compared(const Row& row) {
  std::string text = "twin";
  if (!row.opencl.empty()) text += " = OpenCL";
  if (!row.card.empty()) text += " = card";
  return text;
}

/// Rows of one format, kernel and kind of inputs joined to one.
std::vector<Row> by_kernel(const std::vector<Row>& rows) {
  std::vector<Row> sums;
  std::vector<std::string> hashes;
  for (const Row& row : rows) {
    auto sum = std::find_if(sums.begin(), sums.end(), [&](const Row& s) {
      return s.subject.purpose == row.subject.purpose && s.subject.format == row.subject.format &&
             s.subject.inputs == row.subject.inputs && s.kernel == row.kernel;
    });
    if (sum == sums.end()) {
      sum = sums.insert(sums.end(), row);
      sum->outputs = 0;
      hashes.emplace_back();
    }
    sum->outputs += row.outputs;
    if (row.difference) sum->difference = row.difference;
    hashes[static_cast<std::size_t>(sum - sums.begin())] += row.twin;
  }
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i].twin = sha256_hex(std::span<const char>(hashes[i]));
  return sums;
}

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

const Row* first_difference(const std::vector<Row>& rows) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [](const Row& row) { return row.difference.has_value(); });
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace

std::string report_text(const std::vector<Row>& rows, const Where& where, bool layers) {
  const std::string no_opencl = "not compared: " + where.no_opencl,
                    no_card = "not compared, and no training formats: " + where.no_card;
  std::string text = fmt::format("twin    {}\nOpenCL  {}\ncard    {}\n\n", twin_place,
                                 where.opencl.empty() ? no_opencl : where.opencl,
                                 where.card.empty() ? no_card : where.card);
  std::vector<std::vector<std::string>> lines;
  for (const Row& row : layers ? rows : by_kernel(rows)) {
    std::vector<std::string> line{row.subject.format, row.subject.inputs, row.kernel};
    if (layers) line.push_back(row.subject.network + "/" + row.layer);
    line.push_back(fmt::format("{:>9}", row.outputs));
    line.push_back(row.twin.substr(0, shown_digits));
    line.push_back(compared(row));
    line.push_back(row.difference ? "DIFFERENT" : "equal");
    lines.push_back(std::move(line));
  }
  std::vector<std::string> head{"format", "inputs", "kernel"};
  if (layers) head.push_back("layer");
  for (const char* name : {"  outputs", "SHA-256", "compared", "verdict"}) head.emplace_back(name);
  text += format_table(head, lines);
  text.pop_back();  // lines are ended by the log
  return text;
}

Json report_json(const std::vector<Row>& rows, const Where& where) {
  Json list = Json::array();
  for (const Row& row : rows) {
    Json json{{"purpose", row.subject.purpose},
              {"format", row.subject.format},
              {"inputs", row.subject.inputs},
              {"network", row.subject.network},
              {"kernel", row.kernel},
              {"layer", row.layer},
              {"outputs", row.outputs},
              {"sha256",
               {{"twin", row.twin}, {"opencl", or_null(row.opencl)}, {"card", or_null(row.card)}}},
              {"equal", !row.difference},
              {"first_difference", nullptr}};
    if (row.difference) {
      json["first_difference"] = {{"side", row.difference->side},
                                  {"index", row.difference->index},
                                  {"twin", row.difference->twin},
                                  {"other", row.difference->other}};
    }
    list.push_back(std::move(json));
  }
  return {
      {"equal", first_difference(rows) == nullptr},
      {"sides",
       {{"twin", twin_place}, {"opencl", or_null(where.opencl)}, {"card", or_null(where.card)}}},
      {"rows", list}};
}

std::string difference_text(const std::vector<Row>& rows, const Where& where) {
  const Row* row = first_difference(rows);
  if (row == nullptr) return "";
  const Difference& difference = *row->difference;
  return fmt::format(
      "{} {}, layer {} of network {} ({}, {} inputs): output {} is {} by the twin but {} by {} "
      "({})",
      row->subject.purpose, row->subject.format, row->layer, row->subject.network, row->kernel,
      row->subject.inputs, difference.index, difference.twin, difference.other, difference.side,
      difference.side == "OpenCL" ? where.opencl : where.card);
}

}  // namespace dovetail::verify
