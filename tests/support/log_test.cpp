// Which lines reach which stream, and which are silenced.
#include "support/log.hpp"

#include <gtest/gtest.h>

namespace dovetail {
namespace {

struct Streams {
  std::string out;
  std::string err;
};

Streams say_everything(bool quiet) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  log::set_quiet(quiet);
  log::note("a note");
  log::warn("a warning");
  log::error("an error");
  log::set_quiet(false);
  return {::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
}

TEST(Log, NotesGoOutAndTroubleGoesToTheErrors) {
  const Streams said = say_everything(false);
  EXPECT_EQ(said.out, "a note\n");
  EXPECT_EQ(said.err, "warning: a warning\nan error\n");
}

TEST(Log, WhatATerminalWouldObeyIsShownAsQuestionMarks) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  log::note(std::string("caf\xc3\xa9\t1\n2\x1b[2J") + '\0');
  log::error("a\r\x7f");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "caf\xc3\xa9\t1\n2?[2J?\n");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "a??\n");
}

TEST(Log, AQuietProcessStillReportsErrors) {
  const Streams said = say_everything(true);
  EXPECT_EQ(said.out, "");
  EXPECT_EQ(said.err, "an error\n");
}

TEST(Log, OneProcessOfAHostWarnsOfIt) {
  const auto said = [](bool quiet, bool speaks) {
    ::testing::internal::CaptureStderr();
    log::set_quiet(quiet);
    log::set_host("node7", speaks);
    log::warn_of_host("it lacks something");
    log::set_quiet(false);
    log::set_host("", true);
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(true, true), "warning: node7: it lacks something\n");
  EXPECT_EQ(said(false, true), "warning: node7: it lacks something\n");
  EXPECT_EQ(said(true, false), "");
}

}  // namespace
}  // namespace dovetail
