// Writes C++ of the tensor-core kernels of cases.hpp and dense_cases.hpp, and of dense layers'
// products in every format: each in a namespace of its own, with the definitions that it is built
// with. Arguments: the kernels' folder, the one of the stand-ins, the file to write.
#include <fstream>
#include <iostream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "kernels/warp/cases.hpp"
#include "kernels/warp/dense_cases.hpp"
#include "ops/conv2d_mma_tiles.hpp"
#include "ops/matmul_products.hpp"

namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// As kernels/embed.cmake puts it together, but for the files that have stand-ins.
std::string expanded(const std::string& folder, const std::string& stand_ins,
                     const std::string& name) {
  std::string text = text_of(folder + "/" + name);
  const std::string head = "#include \"";
  std::set<std::string> seen;
  for (std::size_t at; (at = text.find(head)) != std::string::npos;) {
    const std::size_t start = at + head.size(), end = text.find('"', start);
    const std::string included = text.substr(start, end - start);
    const bool stands_in = std::ifstream(stand_ins + "/" + included).good();
    const std::string& from = stands_in ? stand_ins : folder;
    const bool is_first = seen.insert(included).second;
    text.replace(at, end + 1 - at, is_first ? text_of(from + "/" + included) : "");
  }
  // Arrays that a work-group shares: its work-items are fibers of one thread.
  return std::regex_replace(text, std::regex("__local float ([a-z_]+)\\["), "static float $1[");
}

}  // namespace

int main(int, char** arguments) {
  using namespace dovetail;
  using namespace dovetail::conv_mma;
  const std::string kernels = arguments[1], stand_ins = arguments[2];
  std::ofstream out(arguments[3]);
  out << "// Made by tests/kernels/warp/write_cases.cpp; do not edit.\n"
         "#include \"kernels/warp/launches.hpp\"\n#include \"kernels/warp/opencl.hpp\"\n";
  std::string list;
  int number = 0;
  const auto write = [&](const std::string& file, const std::string& kernel,
                         const Definitions& definitions) {
    const std::string name = "kernel" + std::to_string(number++);
    std::string names;
    out << "\nnamespace dovetail::warp::" << name << " {\n";
    for (const std::string& definition : definitions) {
      const std::size_t equals = definition.find('=');
      out << "#define " << definition.substr(0, equals) << ' ' << definition.substr(equals + 1)
          << '\n';
      names += "#undef " + definition.substr(0, equals) + '\n';
    }
    out << expanded(kernels, stand_ins, file) << names
        << "#undef WGMMA_COLUMNS\n#undef WGMMA_TRANSPOSED\n}  // namespace dovetail::warp::" << name
        << '\n';
    return "{&" + name + "::" + kernel;
  };
  const auto launch = [&](const std::string& file, const std::string& kernel, const auto& tiles,
                          const warp::Case& c) {
    list += write(file, kernel, tiles.definitions(c.shape, c.format)) + ", " +
            std::to_string(tiles.threads()) + ", " + std::to_string(tiles.shared_bytes()) + "}, ";
  };
  for (const warp::Case& c : warp::cases()) {
    list += "    {";
    if (is_narrow(c.shape.input)) {
      const std::string space = "kernel" + std::to_string(number);
      launch("conv2d_mma_narrow.cl", "forward", narrow_forward(c.shape, c.kernels.forward), c);
      list += "{}, ";
      launch("conv2d_mma_narrow_weight.cl", "weight_gradient",
             narrow_weight(c.shape, c.kernels.weight_gradient), c);
      list += "{}, {&" + space + "::forward_images}";
    } else {
      const ProductTiles products[] = {wide_forward(c.shape, c.kernels.forward),
                                       turned(c.shape, c.kernels.input_gradient)};
      for (const ProductTiles& tiles : products)
        launch(tiles.cut.by_warpgroup() ? "conv2d_wgmma.cl" : "conv2d_mma.cl", "product", tiles, c);
      const WeightTiles weight = wide_weight(c.shape, c.kernels.weight_gradient);
      launch(!weight.cut.by_warpgroup ? "conv2d_mma_weight.cl"
             : weight.cut.halves      ? "conv2d_wgmma_half_weight.cl"
                                      : "conv2d_wgmma_weight.cl",
             "weight_gradient", weight, c);
      list += write("conv2d_mma_pack.cl", "pack",
                    pack_definitions(c.shape, c.format, products[0].cut, products[1].cut)) +
              "}";
    }
    list += "},\n";
  }
  std::string dense;
  for (const warp::DenseCase& c : warp::dense_cases()) {
    const auto rows = dense_chain::row_tiles(c, c.batch, c.compute_units);
    const auto weights = dense_chain::weight_tiles(c.layers);
    dense += "    " + write("dense_chain.cl", "rows", rows.definitions(c, c.format));
    const std::string second = write("dense_chain_weight.cl", "weight_gradients",
                                     weights.definitions(c.layers.size(), c.format));
    dense += ", " + second.substr(1);
    if (c.first_apart()) {
      const std::string both = write("dense_chain_first.cl", "first_layer",
                                     dense_chain::FirstTiles::definitions(c, c.format));
      const std::string space = both.substr(1, both.find(':') - 1);
      dense += ", " + both.substr(1) + ", " + space + "::input_gradient, " + space +
               "::first_layer_images";
    }
    dense += "},\n";
  }
  std::string matmul;
  for (const ComputeFormat format :
       {ComputeFormat::tf32, ComputeFormat::bf16, ComputeFormat::fp16}) {
    const std::string rows =
        write("matmul_wgmma.cl", "pack_rows", wgmma_products.definitions(format));
    const std::string space = rows.substr(1, rows.find(':') - 1);
    matmul += "    " + rows + ", " + space + "::pack_columns, " + space + "::product, ";
    matmul +=
        write("matmul_mma.cl", "product", mma_products.definitions(format)).substr(1) + "},\n";
  }
  const auto table = [&](const std::string& type, const std::string& name,
                         const std::string& rows) {
    out << "\nnamespace dovetail::warp {\n\nconst std::vector<" << type << ">& " << name
        << "() {\n  static const std::vector<" << type << "> all = {\n"
        << rows << "  };\n  return all;\n}\n\n}  // namespace dovetail::warp\n";
  };
  table("Launches", "launches", list);
  table("DenseLaunches", "dense_launches", dense);
  table("MatmulLaunches", "matmul_launches", matmul);
  const std::string product = write("matmul_async.cl", "product", {});
  out << "\nnamespace dovetail::warp {\n\nProductOfLines* async_product() {\n  return "
      << product.substr(1) << ";\n}\n\n}  // namespace dovetail::warp\n";
  return out ? 0 : 1;
}
