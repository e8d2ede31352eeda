// What tests that run on several ranks share: the communicator of all ranks.
#pragma once

#include "comm/communicator.hpp"

namespace dovetail::testing {

/// All ranks of the test program. A test is entered by all of them, and must be left by all in
/// step: use EXPECT where the others would wait for what follows. A fatal failure (ASSERT, an
/// exception) ends the whole job.
Communicator& world();

}  // namespace dovetail::testing
