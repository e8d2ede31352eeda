// make_xclbin: turns a kernel family's description into adapter source, or with the compiled
// kernels into an xclbin.
//
//   make_xclbin adapters DESCRIPTION.json OUT.cpp
//   make_xclbin pack DESCRIPTION.json KERNELS.so OUT.xclbin
#include <cstdio>
#include <string>
#include <vector>

#include "card/tool/adapters.hpp"
#include "card/tool/xclbin.hpp"
#include "support/error.hpp"
#include "support/file.hpp"

namespace {

void run(const std::vector<std::string>& arguments) {
  using namespace dovetail;
  if (arguments.size() == 3 && arguments[0] == "adapters") {
    replace_file_text(arguments[2], card::adapters(card::read_description(arguments[1])));
  } else if (arguments.size() == 4 && arguments[0] == "pack") {
    const std::vector<unsigned char> object = read_file(arguments[2]);
    replace_file_text(arguments[3], card::xclbin(card::read_description(arguments[1]),
                                                 {object.begin(), object.end()}));
  } else {
    throw UsageError(
        "usage: make_xclbin adapters DESCRIPTION.json OUT.cpp | pack DESCRIPTION.json KERNELS.so "
        "OUT.xclbin");
  }
}

}  // namespace

int main(int count, char** values) {
  try {
    run({values + 1, values + count});
    return 0;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "make_xclbin: %s\n", failure.what());
    return 1;
  }
}
