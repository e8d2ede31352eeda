// Tells the leak sanitizer, where it is on, about HDF5: the library loses 424 bytes whenever it
// refuses damaged structures of its own, which the test with bits flipped anywhere makes it do 79
// times.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5\n";
}
