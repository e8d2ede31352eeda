// Whether built programs are kept where that is dear.
#pragma once

namespace dovetail::opencl {

/// PoCL compiles all of a program's kernels before it hands out the binary, used or not, and has a
/// cache of its own: so its programs are kept only where a process asks for it, as `dovetail bench
/// tune` does. From then on its devices keep all that they build.
void keep_programs_everywhere();

}  // namespace dovetail::opencl
