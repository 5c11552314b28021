// The kernels in a list, for tests, measurements and the check at the start of a run.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

#include "ibot/kernels/kernel.h"

namespace ibot::kernels {

/// Inputs that a kernel is tried on. Random numbers are the same on every device.
///
///   type    of what is in half precision under autocast
///   rows    boxes or regions for those kernels
struct Trial {
  torch::Device device = torch::kCPU;
  torch::ScalarType type = torch::kFloat;
  int64_t rows = 0;
  int64_t width = 0;
};

/// A kernel with drawn inputs.
///
///   run      gives all results
///   bytes    read plus written at the least
///   prepare  before each run: lays out what a run overwrites
struct Subject {
  std::function<std::vector<torch::Tensor>()> run;
  double bytes = 0.0;
  std::function<void()> prepare = [] {};
};

///   types        that own code takes on some device
///   rows, width  of a part of a step of ViT-S/16, to be measured
struct TableRow {
  Choice& choice;
  std::vector<torch::ScalarType> types;
  Subject (*subject)(const Trial&);
  int64_t rows = 0;
  int64_t width = 0;
};

/// All kernels, in the order of a step.
const std::vector<TableRow>& table();

/// A kernel's own code against its fallback.
///
///   found    largest difference, relative to the largest value of the result it is in; infinite
///            where own code failed
///   allowed  of rounding in `type`
struct Difference {
  std::string kernel;
  torch::ScalarType type = torch::kFloat;
  double found = 0.0;
  double allowed = 0.0;
  std::string error;
};

/// Runs a kernel's own code and its fallback on the same inputs.
Difference compare(const TableRow& row, const Trial& trial);

/// The same on small inputs in every type that it takes.
std::vector<Difference> compare(const TableRow& row, torch::Device device);

/// Compares every kernel that has own code for the device. Those that differ by more than is
/// allowed use their fallback there from now on; returns what differed.
std::vector<Difference> check(torch::Device device, const std::vector<TableRow>& rows = table());

}  // namespace ibot::kernels
