#include "common/progress.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <cstdio>

#include "common/console.h"

namespace ibot::apps {
namespace {

// A file that has no name; what was written to it so far.
class PlainFile {
 public:
  PlainFile() : stream_(std::tmpfile()) {}
  ~PlainFile() { std::fclose(stream_); }
  std::FILE* stream() { return stream_; }
  std::string content() {
    std::string text(static_cast<size_t>(std::ftell(stream_)), '\0');
    std::rewind(stream_);
    text.resize(std::fread(text.data(), 1, text.size(), stream_));
    return text;
  }

 private:
  std::FILE* stream_;
};

// A terminal of 40 columns.
class Terminal {
 public:
  Terminal() {
    setenv("TERM", "xterm", 1);
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 40;
    int program_side = -1;
    if (openpty(&our_side_, &program_side, nullptr, nullptr, &size) != 0) std::abort();
    stream_ = fdopen(program_side, "w");
  }
  ~Terminal() {
    std::fclose(stream_);
    close(our_side_);
  }
  std::FILE* stream() { return stream_; }
  // What came through since the last call. A terminal delivers in pieces: a mark says where all of
  // it has come.
  std::string content() {
    std::fputc(kMark, stream_);
    std::fflush(stream_);
    std::string text;
    for (char byte = 0; read(our_side_, &byte, 1) == 1 && byte != kMark;) text += byte;
    return text;
  }

 private:
  static constexpr char kMark = '\x01';
  int our_side_ = -1;
  std::FILE* stream_ = nullptr;
};

TEST(Console, WritesNoControlCodeToAFile) {
  PlainFile file;
  Console output(file.stream());
  EXPECT_FALSE(output.is_live());
  output.show("live");
  output.print_line("plain");
  output.show("live");
  output.clear();
  EXPECT_EQ(file.content(), "plain\n");
}

TEST(Console, KeepsTheLiveLineBelowOthers) {
  Terminal terminal;
  Console output(terminal.stream());
  EXPECT_TRUE(output.is_live());
  EXPECT_EQ(output.width(), 40);
  output.show("live");
  EXPECT_EQ(terminal.content(), "\r\x1b[Klive");
  output.print_line("plain");
  EXPECT_EQ(terminal.content(), "\r\x1b[Kplain\r\nlive");
  output.clear();
  EXPECT_EQ(terminal.content(), "\r\x1b[K");
}

TEST(Console, CutsTheLiveLineToTheTerminal) {
  Terminal terminal;
  Console output(terminal.stream());
  output.show(std::string(100, 'x'));
  EXPECT_EQ(terminal.content(), "\r\x1b[K" + std::string(39, 'x'));
}

TEST(Console, CutsBetweenCharacters) {
  EXPECT_EQ(cut_to_width("abc", 2), "ab");
  EXPECT_EQ(cut_to_width("aü€x", 3), "aü€");
  EXPECT_EQ(cut_to_width("ü", 5), "ü");
}

TEST(Progress, SpeaksOfCountsRateAndTimeLeft) {
  const ProgressOptions options{
      .label = "pre-train", .total = 400, .item = "images", .items_per_count = 8};
  EXPECT_EQ(progress_line(options, 100, 2.5, "loss 4.85", 0),
            "pre-train 100/400 steps, 20.0 images/s, 2 min left, loss 4.85");
  EXPECT_EQ(progress_line(options, 0, 0, "", 0), "pre-train 0/400 steps");
  EXPECT_EQ(progress_line(options, 100, 2.5, "", 120),
            "pre-train [=======                       ] 100/400 steps, 20.0 images/s, 2 min left");
  EXPECT_EQ(progress_line(options, 100, 2.5, "", 50).find('['), std::string::npos);
  EXPECT_EQ(progress_line({.label = "scan", .unit = "files"}, 7, 0, "", 80), "scan 7 files");
}

// What a terminal of 80 columns has room for: epoch, loss, rate and time left, counts if they fit.
TEST(Progress, LeavesOutWhatMattersLeast) {
  const ProgressOptions options{
      .label = "pre-train 0:12:05", .total = 61600, .item = "images", .items_per_count = 4};
  const std::string note = "epoch 1/800, loss 13.320";
  EXPECT_EQ(progress_line(options, 10, 0.1375, note, 160, "data wait 0 %"),
            "pre-train 0:12:05 [                              ] 10/61600 steps, 0.55 images/s, "
            "5 d 4 h left, epoch 1/800, loss 13.320, data wait 0 %");
  EXPECT_EQ(
      progress_line(options, 10, 0.1375, note, 100, "data wait 0 %"),
      "pre-train 0:12:05 10/61600 steps, 0.55 images/s, 5 d 4 h left, epoch 1/800, loss 13.320");
  EXPECT_EQ(progress_line(options, 10, 0.1375, note, 80, "data wait 0 %"),
            "pre-train 0:12:05 0.55 images/s, 5 d 4 h left, epoch 1/800, loss 13.320");
  EXPECT_EQ(progress_line(options, 10, 0.1375, note, 60, "data wait 0 %"),
            "pre-train 0:12:05 epoch 1/800, loss 13.320, 5 d 4 h left");
  EXPECT_EQ(format_clock(3600 * 30 + 61), "30:01:01");
}

// Steps may take minutes: a live line is there before the first one has ended, and its clock moves.
TEST(Progress, MovesWithoutCounts) {
  Terminal terminal;
  Console output(terminal.stream());
  Progress progress({.label = "train", .total = 9}, output);
  std::string shown;
  for (int i = 0; i < 200 && shown.find("train 0:00:01 [") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    shown += terminal.content();
  }
  EXPECT_NE(shown.find("train 0:00:00 ["), std::string::npos) << shown;
  EXPECT_NE(shown.find("train 0:00:01 ["), std::string::npos) << shown;
}

TEST(Progress, PutsDurationsIntoTwoUnits) {
  EXPECT_EQ(format_duration(0), "0 s");
  EXPECT_EQ(format_duration(59.4), "59 s");
  EXPECT_EQ(format_duration(60), "1 min");
  EXPECT_EQ(format_duration(725), "12 min 5 s");
  EXPECT_EQ(format_duration(3600 * 3 + 600), "3 h 10 min");
  EXPECT_EQ(format_duration(86400 * 2 + 3600 * 4), "2 d 4 h");
}

TEST(Progress, RateForgetsTheStart) {
  RateEstimate rate;
  rate.add(0, 5);
  rate.add(20, 5);
  EXPECT_NEAR(rate.per_second(), 2, 1e-12);
  for (int i = 0; i < 100; ++i) rate.add(50, 5);
  EXPECT_NEAR(rate.per_second(), 10, 1e-6);
}

TEST(Progress, EndsWithASummaryOfWhatWasDone) {
  const auto ending = [](int64_t first, int64_t total) {
    PlainFile file;
    Console output(file.stream());
    Progress progress(
        {.label = "scan", .unit = "files", .total = total, .first = first, .item = "files"},
        output);
    for (int64_t i = first + 1; i <= total; ++i) progress.update(i);
    progress.finish();
    return file.content();
  };
  EXPECT_EQ(ending(0, 3).rfind("scan 3 files in 0 s, ", 0), 0u);
  EXPECT_EQ(ending(0, 1).rfind("scan 1 file in 0 s, ", 0), 0u);
  EXPECT_EQ(ending(3, 3), "");
}

}  // namespace
}  // namespace ibot::apps
