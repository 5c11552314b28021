// Checkpoints of the official program: `{student, teacher, optimizer, epoch, ibot_loss, …}`.
#pragma once

#include <string>

#include "ibot/io/torch_value.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"

namespace ibot::train {

/// Whether a .pth holds a whole run: both networks and the optimizer.
bool is_official_checkpoint(const io::Value& root);

/// The state that `step` needs to resume from the file: networks, optimizer moments, centers, loss
/// scale. Optimizer entries are numbered there: parameters with weight decay in network order, then
/// the others; a parameter without an entry has never been updated. Of the run's position the file
/// holds only `epochs`; files that we wrote restore everything.
///
///   source   the file, for messages
///
/// Throws CheckpointError if something is missing, of another shape or of another optimizer.
Checkpoint from_official(const io::Value& root, const std::string& source, const TrainStep& step);

/// The inverse: a file whose networks, optimizer, centers and epoch the official program can
/// resume, and whose networks its evaluations read. `checkpoint.run`, `checkpoint.config` and
/// tensors without a place in the official layout are stored under `ibot`.
///
///   values       learning rate and weight decay of the optimizer's groups
///   arguments    the official program's arguments
io::Value to_official(const Checkpoint& checkpoint, const TrainStep& step,
                      const optim::StepValues& values, const io::Dict& arguments);

}  // namespace ibot::train
