# dovetail_mpi_test(NAME SOURCES file... LINKS target... RANKS 1 2 3 4 [TIMEOUT seconds] [LABELS label...]): one GoogleTest
# binary whose tests are MPI-collective, run under mpirun once for each number of ranks as NAME.ranksN.
# dovetail_mpi_run(NAME RANKS 1 2 3 4 [SUFFIX text] [ENVIRONMENT VARIABLE=value...] [TIMEOUT seconds] [LABELS label...]):
# further runs of that binary, as NAME.ranksN<SUFFIX>.
find_package(MPI REQUIRED COMPONENTS C)

# Open MPI's: more ranks than cores, none bound to a core. Other launchers may need others.
set(DOVETAIL_MPIEXEC_FLAGS "--oversubscribe;--bind-to;none" CACHE STRING "Flags of mpiexec for the tests")

# Open MPI refuses root unless both are set; nobody else minds them.
set(DOVETAIL_MPI_ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
if(DOVETAIL_SANITIZE MATCHES "address")
  # Open MPI leaves memory of plug-ins that it has unloaded, which no suppression can name any more.
  list(APPEND DOVETAIL_MPI_ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0")
endif()

function(dovetail_mpi_run name)
  cmake_parse_arguments(RUN "" "TIMEOUT;SUFFIX" "RANKS;ENVIRONMENT;LABELS" ${ARGN})
  if(NOT RUN_TIMEOUT)
    set(RUN_TIMEOUT 60)
  endif()
  math(EXPR RUN_TIMEOUT "${RUN_TIMEOUT} * ${DOVETAIL_TEST_PATIENCE}")
  # The watchdog inside speaks before ctest loses patience.
  math(EXPR ctest_timeout "${RUN_TIMEOUT} + 10")
  foreach(ranks IN LISTS RUN_RANKS)
    set(run ${name}.ranks${ranks}${RUN_SUFFIX})
    add_test(NAME ${run}
             COMMAND ${MPIEXEC_EXECUTABLE} ${DOVETAIL_MPIEXEC_FLAGS} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${run} PROPERTIES
      ENVIRONMENT "${DOVETAIL_MPI_ENVIRONMENT};DOVETAIL_TEST_TIMEOUT_S=${RUN_TIMEOUT};${RUN_ENVIRONMENT}"
      TIMEOUT ${ctest_timeout} PROCESSORS ${ranks} LABELS "mpi;${RUN_LABELS}")
  endforeach()
endfunction()

# dovetail_sanitizer_run(NAME FILTER): in the sanitizers' presets, some of its tests on two ranks as NAME.quick, for CI.
function(dovetail_sanitizer_run name filter)
  if(DOVETAIL_SANITIZE)
    dovetail_mpi_run(${name} RANKS 2 SUFFIX .quick ENVIRONMENT GTEST_FILTER=${filter} TIMEOUT 60)
  endif()
endfunction()

function(dovetail_mpi_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;LINKS;RANKS;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LINKS} dovetail_mpi_main dovetail_flags)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  dovetail_mpi_run(${name} RANKS ${TEST_RANKS} TIMEOUT ${TEST_TIMEOUT} LABELS ${TEST_LABELS})
endfunction()
