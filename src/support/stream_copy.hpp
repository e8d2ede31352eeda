// Copies into memory that somebody else reads.
#pragma once

#include <cstddef>

namespace dovetail {

/// As std::memcpy, for what this processor does not read soon: memory that a device copies from.
/// Past the caches where it can, so that lines are not read only to be overwritten, and what the
/// caches hold stays there. Others may read it after publish_stream_copies().
void stream_copy(void* to, const void* from, std::size_t bytes);
/// Of this thread.
void publish_stream_copies();

}  // namespace dovetail
