// Bytes of one message, also more of them than MPI 3 counts. Only this folder's .cpp files include
// it.
#pragma once

#include <cstddef>
#include <limits>

#include "comm/mpi_check.hpp"

namespace dovetail {

/// What to give MPI as count and type of a buffer: bytes as such, or one value of a type that is
/// `bytes` long. May go once the operation has begun.
class ByteType {
 public:
  /// @param most  that are counted one by one.
  explicit ByteType(std::size_t bytes, std::size_t most = std::numeric_limits<int>::max()) {
    if (bytes <= most) {
      count_ = static_cast<int>(bytes);
      return;
    }
    // Whole blocks, and what is left behind them.
    MPI_Datatype block = MPI_DATATYPE_NULL, blocks = MPI_DATATYPE_NULL;
    check_mpi(MPI_Type_contiguous(static_cast<int>(most), MPI_BYTE, &block), "MPI_Type_contiguous");
    check_mpi(MPI_Type_contiguous(mpi_count(bytes / most), block, &blocks), "MPI_Type_contiguous");
    const int lengths[] = {1, static_cast<int>(bytes % most)};
    const MPI_Aint places[] = {0, static_cast<MPI_Aint>(bytes / most * most)};
    const MPI_Datatype types[] = {blocks, MPI_BYTE};
    check_mpi(MPI_Type_create_struct(2, lengths, places, types, &type_), "MPI_Type_create_struct");
    check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
    MPI_Type_free(&block);
    MPI_Type_free(&blocks);
    is_own_ = true;
  }
  ~ByteType() {
    if (is_own_) MPI_Type_free(&type_);
  }
  ByteType(const ByteType&) = delete;
  ByteType& operator=(const ByteType&) = delete;

  int count() const { return count_; }
  MPI_Datatype type() const { return type_; }

 private:
  int count_ = 1;
  MPI_Datatype type_ = MPI_BYTE;
  bool is_own_ = false;
};

}  // namespace dovetail
