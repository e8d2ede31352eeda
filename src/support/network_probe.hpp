// Finds out which hosts of a job can still be reached over the network, when all ranks wait for
// each other.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace dovetail {

/// This host's IPv4 addresses as "10.0.0.1/24", of all interfaces that are up but the loopback.
std::vector<std::string> own_addresses();

/// Which of these IPv4 addresses ("10.0.0.1") belong to a host that can be reached, each within
/// `patience_s`: where nobody listens, the host itself refuses the connection. A firewall that
/// swallows the question makes a host look unreachable.
std::vector<bool> which_answer(const std::vector<std::string>& addresses, double patience_s);

/// The hosts that are cut off, as seen from `hosts[mine]`, each given by its own_addresses().
/// Asked are the addresses on the networks that both hosts are on. A host is cut off where others
/// on the same network answer and it does not; this host, where none of several others does.
/// Empty where the network gives no reason to blame a host.
std::vector<std::size_t> cut_off_hosts(
    const std::vector<std::vector<std::string>>& hosts, std::size_t mine,
    const std::function<std::vector<bool>(const std::vector<std::string>&)>& which_answer);

}  // namespace dovetail
