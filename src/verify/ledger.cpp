// Hashes every side on its own, and compares it with the twin value by value.
#include "verify/ledger.hpp"

#include <algorithm>
#include <bit>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail::verify {
namespace {

static_assert(std::endian::native == std::endian::little, "values are hashed as they lie");

void hash(Sha256& sum, const std::vector<std::int32_t>& values) {
  sum.update(values.data(), values.size() * sizeof(std::int32_t));
}

/// A float32 also in hexadecimal digits of its bits, since two that differ may read alike.
std::string text(const infer::LayerOutput& output, std::size_t index) {
  const std::int32_t value = output.values[index];
  if (!output.real) return fmt::format("{}", value);
  return fmt::format("{} (0x{:08x})", std::bit_cast<float>(value),
                     static_cast<std::uint32_t>(value));
}

std::optional<Difference> compare(const char* side, std::uint64_t before,
                                  const infer::LayerOutput& twin, const infer::LayerOutput& other) {
  if (twin.kernel != other.kernel || twin.layer != other.layer ||
      twin.values.size() != other.values.size()) {
    throw Error(
        fmt::format("{} gave {} values for {} of layer {} where the twin gave {} for {} of "
                    "layer {}",
                    side, other.values.size(), other.kernel, other.layer, twin.values.size(),
                    twin.kernel, twin.layer));
  }
  const auto at = std::mismatch(twin.values.begin(), twin.values.end(), other.values.begin()).first;
  if (at == twin.values.end()) return std::nullopt;
  const auto index = static_cast<std::size_t>(at - twin.values.begin());
  return Difference{side, before + index, text(twin, index), text(other, index)};
}

}  // namespace

Ledger::Account& Ledger::account_of(const Subject& subject, const infer::LayerOutput& output) {
  const auto found = std::find_if(accounts_.begin(), accounts_.end(), [&](const Account& account) {
    return account.row.subject == subject && account.row.kernel == output.kernel &&
           account.row.layer == output.layer;
  });
  if (found != accounts_.end()) return *found;
  Account& account = accounts_.emplace_back();
  account.row.subject = subject;
  account.row.kernel = output.kernel;
  account.row.layer = output.layer;
  return account;
}

void Ledger::add(const Subject& subject, const Outputs& twin, const Outputs* opencl,
                 const Outputs* card) {
  for (const auto& [side, outputs] : {std::pair{"OpenCL", opencl}, {"the card", card}}) {
    if (outputs != nullptr && outputs->size() != twin.size()) {
      throw Error(fmt::format("{} showed {} outputs of network {}, the twin {}", side,
                              outputs->size(), subject.network, twin.size()));
    }
  }
  for (std::size_t i = 0; i < twin.size(); ++i) {
    Account& account = account_of(subject, twin[i]);
    Row& row = account.row;
    hash(account.twin, twin[i].values);
    if (opencl != nullptr) {
      hash(account.opencl, (*opencl)[i].values);
      account.has_opencl = true;
      if (!row.difference) row.difference = compare("OpenCL", row.outputs, twin[i], (*opencl)[i]);
    }
    if (card != nullptr) {
      hash(account.card, (*card)[i].values);
      account.has_card = true;
      if (!row.difference) row.difference = compare("the card", row.outputs, twin[i], (*card)[i]);
    }
    row.outputs += twin[i].values.size();
    differs_ = differs_ || row.difference.has_value();
  }
}

std::uint64_t Ledger::outputs(const std::string& purpose, const std::string& format,
                              const std::string& inputs, const std::string& kernel) const {
  std::uint64_t sum = 0;
  for (const Account& account : accounts_) {
    const Row& row = account.row;
    if (row.subject.purpose == purpose && row.subject.format == format &&
        row.subject.inputs == inputs && row.kernel == kernel)
      sum += row.outputs;
  }
  return sum;
}

std::vector<Row> Ledger::finish() {
  std::vector<Row> rows;
  for (Account& account : accounts_) {
    account.row.twin = account.twin.hex();
    if (account.has_opencl) account.row.opencl = account.opencl.hex();
    if (account.has_card) account.row.card = account.card.hex();
    rows.push_back(std::move(account.row));
  }
  accounts_.clear();
  return rows;
}

}  // namespace dovetail::verify
