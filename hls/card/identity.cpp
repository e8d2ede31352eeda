// Ties the card to XRT's own device class, which libxrt_swemu.a brings: what that class asks of its
// driver.
//
// The names are XRT's; no public header declares them.
namespace xrt_core::query {
enum class key_type;
}

namespace xclcpuemhal2 {

class CpuemShim {
 public:
  static CpuemShim* handleCheck(void* handle);
  unsigned int deviceQuery(xrt_core::query::key_type key);
};

// Without a driver object XRT takes 0 for the two keys that it asks so: no memory-to-memory engine,
// and a DMA.
CpuemShim* CpuemShim::handleCheck(void* /*handle*/) {
  return nullptr;
}
unsigned int CpuemShim::deviceQuery(xrt_core::query::key_type /*key*/) {
  return 0;
}

}  // namespace xclcpuemhal2
