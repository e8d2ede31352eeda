// SHA-256 through OpenSSL's libcrypto.
#include "support/checksum.hpp"

#include <openssl/evp.h>

#include "support/error.hpp"
#include "support/text.hpp"

namespace dovetail {
namespace {

void check(int status, const char* call) {
  if (status != 1) throw Error(fmt::format("libcrypto: {} failed", call));
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr), "EVP_DigestInit_ex");
}

Sha256::~Sha256() = default;

void Sha256::update(const void* data, std::size_t bytes) {
  check(EVP_DigestUpdate(state_->context, data, bytes), "EVP_DigestUpdate");
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  check(EVP_DigestFinal_ex(state_->context, digest, &length), "EVP_DigestFinal_ex");
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace dovetail
