// Options of the training loop.
#pragma once

#include <cstdint>
#include <string>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/dist/compression_options.h"
#include "ibot/train/fault_options.h"
#include "ibot/train/run_options.h"

namespace ibot::train {

using optim::Precision;

struct TrainOptions : RunOptions {
  TrainOptions() { save_every_epochs = 40; }

  // What affects results.
  int64_t epochs = 800;
  int64_t batch_size = 64;
  int64_t seed = 0;
  std::string init_from;
  std::string init_key = "teacher";
  dist::Compression compress_gradients = dist::Compression::kNone;

  // What affects speed, memory, and what is read, kept or told.
  std::string device = "auto";
  int64_t max_steps = 0;
  int64_t keep_last = 2;
  CollapsePolicy on_collapse = CollapsePolicy::kWarn;
  bool report = true;
  int64_t accumulate_steps = 1;
  int64_t rank_timeout_s = 120;
  int64_t stall_timeout_s = 600;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("epochs", epochs, "number of epochs, which the schedules span");
    field("batch_size", batch_size, "images per rank and step");
    field("seed", seed, "random seed of weights, sample order, crops, masks and drop path");
    RunOptions::fields(field);
    field("init_from", init_from,
          "file of initial weights of both networks, as --init-from; empty: random");
    field("init_key", init_key,
          "which network of that file: teacher | student | a key of the file");
    field("device", device, "auto | cpu | cuda | cuda:N", Effect::kNone);
    field("max_steps", max_steps, "stop after this many steps; 0: after all epochs", Effect::kNone);
    field("keep_last", keep_last, "number of newest checkpoints to keep, as fallbacks",
          Effect::kNone);
    field("on_collapse", on_collapse,
          "teacher targets carry no information about the image, or the loss stays far above its "
          "running mean: warn | stop",
          Effect::kNone);
    field("report", report, "write OUT/report.html when the run is done, with charts and pictures",
          Effect::kNone);
    field("accumulate_steps", accumulate_steps,
          "gradient accumulation: micro-batches per rank and update; saves memory", Effect::kNone);
    field("compress_gradients", compress_gradients,
          "data type of the gradient all-reduce: none (float32) | fp16 | bf16");
    field("rank_timeout_s", rank_timeout_s,
          "end the run if a rank sends no heartbeat for this long", Effect::kNone);
    field("stall_timeout_s", stall_timeout_s,
          "end the run if a live rank keeps the others waiting within a step for this long",
          Effect::kNone);
  }

  void validate() const {
    RunOptions::validate();
    check_option(epochs > 0, "epochs", "expected above 0, got ", epochs);
    check_option(batch_size > 0, "batch_size", "expected above 0, got ", batch_size);
    check_option(seed >= 0, "seed", "expected 0 or more, got ", seed);
    check_option(device == "auto" || device.rfind("cpu", 0) == 0 || device.rfind("cuda", 0) == 0,
                 "device", "expected auto, cpu, cuda or cuda:N, got ", device);
    check_option(max_steps >= 0, "max_steps", "expected 0 or more, got ", max_steps);
    check_option(keep_last > 0, "keep_last", "expected above 0, got ", keep_last);
    check_option(accumulate_steps > 0 && batch_size % accumulate_steps == 0, "accumulate_steps",
                 "expected a divisor of train.batch_size ", batch_size, ", got ", accumulate_steps);
    check_option(rank_timeout_s > 0, "rank_timeout_s", "expected above 0, got ", rank_timeout_s);
    check_option(stall_timeout_s > 0, "stall_timeout_s", "expected above 0, got ", stall_timeout_s);
  }
};

}  // namespace ibot::train
