// Repeated timing of pieces of work, and how the figures are told.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

namespace ibot::apps {

/// One case: a name and what one repetition handles; 0: not counted.
struct BenchCase {
  std::string name;
  double images = 0.0;
  double flops = 0.0;
  double bytes = 0.0;               // read plus written
  double calls = 0.0;               // of kernels or operators
  std::vector<double> losses = {};  // of training, step by step
};

/// How often, and what to wait for after each repetition.
struct BenchRuns {
  torch::Device device = torch::kCPU;
  int repetitions = 10;
};

/// `before` and `after` each run are not timed.
struct BenchWork {
  BenchCase bench;
  std::function<void()> run;
  std::function<void()> before = [] {};
  std::function<void()> after = [] {};
};

/// What the repetitions of a case took.
struct BenchTimes {
  std::vector<double> seconds;
  double user_s = 0.0;  // of the process in all of them; 0: not known
};

/// Seconds that `work` takes until the device is done.
double timed(const std::function<void()>& work, torch::Device device);

/// The figures of one command: a line of JSON each on standard output as they come and, where a
/// file is named, all of them in it with the command, version and machine.
///
/// A line holds case, median_s, p10_s, p90_s, peak_memory_bytes, threads and device; user_s, the
/// mean CPU time of a repetition in user mode; and where counted images_per_s, flops, flops_per_s,
/// bytes_per_s, calls and losses.
class Figures {
 public:
  /// Throws RequestError where the file cannot be written; `file` empty: none.
  Figures(std::string command, std::string file);

  /// Runs `work` once to warm up, then the repetitions, waiting for the device after each.
  void measure(const BenchCase& bench, const BenchRuns& runs, const std::function<void()>& work);
  /// The same for several: in every repetition one after the other, so that a machine's drift slows
  /// all alike.
  void measure_in_turn(const std::vector<BenchWork>& works, const BenchRuns& runs);
  void add(const BenchCase& bench, BenchTimes times, torch::Device device);
  /// Writes the file.
  void finish() const;

 private:
  std::string command_;
  std::string file_;
  std::vector<std::string> lines_;
};

}  // namespace ibot::apps
