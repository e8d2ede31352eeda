// Parts of XRT's shim API that the application never uses: refused with a line, not imitated.
#include <string>

#include "card/refusal.hpp"
#include "card/shim.hpp"
#include "experimental/xrt-next.h"

namespace {

int refuse(const char* what) {
  dovetail::card::complain(std::string(what) + " is not emulated");
  return -EOPNOTSUPP;
}

}  // namespace

extern "C" {

xclBufferExportHandle xclExportBO(xclDeviceHandle, xclBufferHandle) {
  return refuse("sharing a buffer with another process");
}

xclBufferHandle xclImportBO(xclDeviceHandle, xclBufferExportHandle, unsigned) {
  refuse("sharing a buffer with another process");
  return NULLBO;
}

int xclRegRead(xclDeviceHandle, uint32_t, uint32_t, uint32_t*) {
  return refuse("reading registers");
}

int xclRegWrite(xclDeviceHandle, uint32_t, uint32_t, uint32_t) {
  return refuse("writing registers");
}

size_t xclRead(xclDeviceHandle, xclAddressSpace, uint64_t, void*, size_t) {
  return static_cast<size_t>(refuse("reading registers"));
}

size_t xclWrite(xclDeviceHandle, xclAddressSpace, uint64_t, const void*, size_t) {
  return static_cast<size_t>(refuse("writing registers"));
}

ssize_t xclUnmgdPread(xclDeviceHandle, unsigned, void*, size_t, uint64_t) {
  return refuse("unmanaged memory");
}

ssize_t xclUnmgdPwrite(xclDeviceHandle, unsigned, const void*, size_t, uint64_t) {
  return refuse("unmanaged memory");
}

int xclReClock2(xclDeviceHandle, unsigned short, const unsigned short*) {
  return refuse("another clock");
}

int xclP2pEnable(xclDeviceHandle, bool, bool) {
  return refuse("peer-to-peer");
}

}  // extern "C"

// XRT's device class knows these by their C++ names; no public header declares them.
int xclCloseExportHandle(int handle);
int xclUpdateSchedulerStat(xclDeviceHandle handle);
int xclCmaEnable(xclDeviceHandle handle, bool enable, unsigned long bytes);
int xclInternalResetDevice(xclDeviceHandle handle, xclResetKind kind);

int xclCloseExportHandle(int) {
  return refuse("sharing a buffer with another process");
}

int xclUpdateSchedulerStat(xclDeviceHandle) {
  return 0;
}  // this card keeps no statistics to update

int xclCmaEnable(xclDeviceHandle, bool, unsigned long) {
  return refuse("host memory");
}

int xclInternalResetDevice(xclDeviceHandle, xclResetKind) {
  return refuse("a reset");
}
