// As much of OpenCL C as the kernels for tensor cores use, for the host's compiler.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

#include "kernels/warp/work_group.hpp"
#include "ops/reference/round_operand.hpp"

namespace dovetail::warp {

using uint = unsigned;
using ulong = unsigned long;
using uchar = unsigned char;
using ushort = unsigned short;
enum Fence { CLK_LOCAL_MEM_FENCE };

inline int get_local_id(unsigned dimension) {
  return WorkGroup::current().item(dimension);
}
inline int get_group_id(unsigned dimension) {
  return WorkGroup::current().place(dimension);
}
inline std::size_t get_num_groups(unsigned dimension) {
  return static_cast<std::size_t>(WorkGroup::current().groups(dimension));
}
inline void barrier(Fence) {
  WorkGroup::current().barrier();
}
inline uint as_uint(float value) {
  return std::bit_cast<uint>(value);
}
using std::clamp;
using std::exp;
using std::fma;
using std::fmax;
using std::log;
using std::min;

}  // namespace dovetail::warp

#define __kernel inline
#define __global
#define __local
#define __constant
#define restrict
#define reqd_work_group_size(x, y, z) unused
// Words that OpenCL C keeps: a variable of such a name must not build here either.
#define half struct kept_by_opencl
#define global struct kept_by_opencl
#define local struct kept_by_opencl
#define constant struct kept_by_opencl
#define kernel struct kept_by_opencl
