// A rank that ends its job in the way its argument says; the program behind job_end_test.
#include <cstdio>
#include <exception>
#include <string>

#include "comm/communicator.hpp"
#include "comm/mpi_session.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace {

void run(const std::string& way) {
  const dovetail::MpiSession mpi;
  const dovetail::Communicator world = dovetail::Communicator::world();
  if (way == "well") {
    if (world.all_reduce_sum(1) == world.size() && world.is_lead()) std::puts("all well");
  } else if (way == "abort") {
    if (world.rank() == world.size() - 1) dovetail::abort_job(7);
    world.barrier();
  } else if (way == "fail") {
    if (world.rank() == 1) dovetail::fail_job("rank 1: no such shard", 3);
    world.barrier();
  } else if (way == "fail-together") {
    world.barrier();
    dovetail::fail_job("no such folder", 2);
  } else if (way == "throw") {
    dovetail::Request waiting = world.ibarrier();
    if (world.rank() == 1) throw dovetail::Error("rank 1: thrown");
    waiting.wait();
    world.barrier();
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc > 1 ? argv[1] : "well");
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 5;
  }
}
