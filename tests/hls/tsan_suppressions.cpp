// Tells the thread sanitizer to leave out XRT: it is not instrumented, and polls a command's state
// as a card writes it.
extern "C" const char* __tsan_default_suppressions();

extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libxrt_coreutil.so\n";
}
