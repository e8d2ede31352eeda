# Finds Xilinx XRT and says once what a build without it, or with another version, will be missing.
#
# Sets DOVETAIL_HAS_XRT (real cards can be used; target dovetail_xrt) and DOVETAIL_HAS_EMULATED_CARD (tied to the
# internals of one XRT version; target dovetail_xrt_internals) for every folder.

set(emulated_xrt_version 2.13)
set(DOVETAIL_HAS_XRT OFF CACHE INTERNAL "This build has the FPGA side")
set(DOVETAIL_HAS_EMULATED_CARD OFF CACHE INTERNAL "This build has the emulated card")

if(NOT DOVETAIL_FPGA)
  message(STATUS "FPGA side: left out (DOVETAIL_FPGA=OFF); jobs run on GPU ranks alone")
  return()
endif()

set(xrt_homes $ENV{XILINX_XRT} /opt/xilinx/xrt)
find_path(XRT_INCLUDE_DIR xrt/xrt_kernel.h HINTS ${xrt_homes} PATH_SUFFIXES include include/xrt)
find_library(XRT_COREUTIL xrt_coreutil HINTS ${xrt_homes} PATH_SUFFIXES lib)
find_library(XRT_UUID uuid)
if(NOT XRT_INCLUDE_DIR OR NOT XRT_COREUTIL OR NOT XRT_UUID)
  message(STATUS "FPGA side: left out, Xilinx XRT was not found (Debian: packages libxrt-dev and uuid-dev; elsewhere "
                 "set XILINX_XRT); jobs run on GPU ranks alone")
  return()
endif()

set(DOVETAIL_HAS_XRT ON CACHE INTERNAL "")
add_library(dovetail_xrt INTERFACE)
target_include_directories(dovetail_xrt SYSTEM INTERFACE ${XRT_INCLUDE_DIR})
target_link_libraries(dovetail_xrt INTERFACE ${XRT_COREUTIL} ${XRT_UUID})

set(xrt_version unknown)
if(EXISTS ${XRT_INCLUDE_DIR}/version.h)
  file(STRINGS ${XRT_INCLUDE_DIR}/version.h version_line REGEX "xrt_build_version\\[\\]")
  if(version_line MATCHES "\"([0-9.]+)\"")
    set(xrt_version ${CMAKE_MATCH_1})
  endif()
endif()

# The emulated card brings objects of XRT's own device classes, which only the static archives hold.
set(xrt_objects_folder ${CMAKE_CURRENT_BINARY_DIR}/xrt-objects)
find_library(XRT_SWEMU_ARCHIVE libxrt_swemu.a)
find_library(XRT_CORE_ARCHIVE libxrt_core.a)
set(missing "")
if(NOT xrt_version MATCHES "^${emulated_xrt_version}(\\.|$)")
  set(missing "it fits XRT ${emulated_xrt_version} alone")
elseif(NOT XRT_SWEMU_ARCHIVE OR NOT XRT_CORE_ARCHIVE)
  set(missing "it needs libxrt_swemu.a and libxrt_core.a")
else()
  file(MAKE_DIRECTORY ${xrt_objects_folder})
  set(swemu_members system_swemu.cxx.o device_swemu.cxx.o device_pcie.cpp.o system_pcie.cpp.o)
  execute_process(COMMAND ${CMAKE_AR} x ${XRT_SWEMU_ARCHIVE} ${swemu_members}
    WORKING_DIRECTORY ${xrt_objects_folder} RESULT_VARIABLE swemu_status OUTPUT_QUIET ERROR_QUIET)
  execute_process(COMMAND ${CMAKE_AR} x ${XRT_CORE_ARCHIVE} aie_stubs.cpp.o
    WORKING_DIRECTORY ${xrt_objects_folder} RESULT_VARIABLE core_status OUTPUT_QUIET ERROR_QUIET)
  if(NOT swemu_status EQUAL 0 OR NOT core_status EQUAL 0)
    set(missing "XRT's static archives lack the objects that it needs")
  endif()
endif()
if(missing)
  message(WARNING "FPGA side: XRT ${xrt_version}, real cards only. The emulated card and its tests are left out: ${missing}")
  return()
endif()

set(DOVETAIL_HAS_EMULATED_CARD ON CACHE INTERNAL "")
set(xrt_objects ${swemu_members} aie_stubs.cpp.o)
list(TRANSFORM xrt_objects PREPEND ${xrt_objects_folder}/)
add_library(dovetail_xrt_internals INTERFACE)
target_link_libraries(dovetail_xrt_internals INTERFACE ${xrt_objects} dovetail_xrt ${CMAKE_DL_LIBS})
message(STATUS "FPGA side: XRT ${xrt_version}, with the emulated card")
