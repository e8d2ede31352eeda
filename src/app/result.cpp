// Writes a command's result.
#include "app/result.hpp"

#include "support/file.hpp"
#include "support/log.hpp"

namespace dovetail::app {

void write_result(const std::string& to, const std::string& text, const Json& json) {
  log::note(text);
  if (to.empty()) return;
  const std::string document = dump(json, 2);
  if (to == "-") {
    log::document(document);
  } else {
    replace_file_text(to, document + '\n');
  }
}

}  // namespace dovetail::app
