// What a Request holds of MPI. Only this folder's .cpp files include it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "comm/mpi_check.hpp"
#include "comm/request.hpp"

namespace dovetail {

struct Request::Operation {
  MPI_Request handle = MPI_REQUEST_NULL;
  const char* call;                             // the MPI function that began it
  std::optional<std::size_t> expected_bytes{};  // of a receive
  std::shared_ptr<const void> buffer{};         // kept alive until the end

  explicit Operation(const char* begun_by) : call(begun_by) {}
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  bool test();
};

template <typename Start>
Request Request::begin(const char* call, const Start& start) {
  Request request;
  request.operation_ = std::make_unique<Operation>(call);
  check_mpi(start(&request.operation_->handle), call);
  return request;
}

}  // namespace dovetail
