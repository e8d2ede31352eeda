# dovetail_mpi_test(NAME SOURCES file... LINKS target... RANKS 1 2 3 4 [TIMEOUT seconds] [LABELS label...]): one GoogleTest
# binary whose tests are MPI-collective, run under mpirun once for each number of ranks as NAME.ranksN.
find_package(MPI REQUIRED COMPONENTS C)

# Open MPI's: more ranks than cores, none bound to a core. Other launchers may need others.
set(DOVETAIL_MPIEXEC_FLAGS "--oversubscribe;--bind-to;none" CACHE STRING "Flags of mpiexec for the tests")

# Open MPI refuses root unless both are set; nobody else minds them.
set(DOVETAIL_MPI_ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
if(DOVETAIL_SANITIZE MATCHES "address")
  list(APPEND DOVETAIL_MPI_ENVIRONMENT
       "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_LIST_DIR}/lsan.supp:print_suppressions=0")
endif()

function(dovetail_mpi_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;LINKS;RANKS;LABELS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 60)
  endif()
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE ${TEST_LINKS} dovetail_mpi_main dovetail_flags)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  # The watchdog inside speaks before ctest loses patience.
  math(EXPR ctest_timeout "${TEST_TIMEOUT} + 10")
  foreach(ranks IN LISTS TEST_RANKS)
    add_test(NAME ${name}.ranks${ranks}
             COMMAND ${MPIEXEC_EXECUTABLE} ${DOVETAIL_MPIEXEC_FLAGS} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.ranks${ranks} PROPERTIES
      ENVIRONMENT "${DOVETAIL_MPI_ENVIRONMENT};DOVETAIL_TEST_TIMEOUT_S=${TEST_TIMEOUT}"
      TIMEOUT ${ctest_timeout} PROCESSORS ${ranks} LABELS "mpi;${TEST_LABELS}")
  endforeach()
endfunction()
