// Writes the adapters of a kernel family.
#include "card/tool/adapters.hpp"

#include "support/text.hpp"

namespace dovetail::card {
namespace {

std::string declaration(const Kernel& kernel) {
  std::vector<std::string> parameters;
  for (const Argument& argument : kernel.arguments)
    parameters.push_back(argument.type + " " + argument.name);
  return fmt::format("extern \"C\" void {}({});\n", kernel.name, fmt::join(parameters, ", "));
}

std::string adapter(const Kernel& kernel) {
  std::string registers;
  std::vector<std::string> values;
  for (std::size_t i = 0; i < kernel.arguments.size(); ++i) {
    const Argument& argument = kernel.arguments[i];
    registers += fmt::format("    {{\"{}\", {:#x}, {}, {}}},\n", argument.name, argument.offset,
                             argument.bytes, argument.is_pointer);
    values.push_back(
        fmt::format("\n      *static_cast<{} const*>(arguments[{}])", argument.type, i));
  }
  return fmt::format(
      "const dovetail::card::ArgumentEntry {0}_arguments[] = {{\n{1}    {{nullptr, 0, 0, "
      "false}}}};\n\n"
      "void call_{0}(const void* const* arguments) {{\n  static_cast<void>(arguments);\n  "
      "{0}({2});\n}}\n\n",
      kernel.name, registers, fmt::join(values, ","));
}

}  // namespace

std::string adapters(const Description& description) {
  std::string text = fmt::format("// Calls the kernels of family {}; written by make_xclbin.\n",
                                 description.family);
  text += "#include <cstdint>\n\n#include \"card/kernel_entry.hpp\"\n";
  for (const std::string& header : description.headers)
    text += fmt::format("#include \"{}\"\n", header);
  text += "\n";
  for (const Kernel& kernel : description.kernels) text += declaration(kernel);
  text += "\nnamespace {\n\n";
  for (const Kernel& kernel : description.kernels) text += adapter(kernel);
  text += "const dovetail::card::KernelEntry kernels[] = {\n";
  for (const Kernel& kernel : description.kernels) {
    text += fmt::format("    {{\"{0}\", {0}_arguments, {1}, call_{0}}},\n", kernel.name,
                        kernel.arguments.size());
  }
  text += fmt::format(
      "}};\n\n}}  // namespace\n\nconst dovetail::card::KernelTable dovetail_kernels = {{kernels, "
      "{}}};\n",
      description.kernels.size());
  return text;
}

}  // namespace dovetail::card
