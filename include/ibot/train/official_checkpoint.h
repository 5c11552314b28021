// Checkpoints of the official program: `{student, teacher, optimizer, epoch, ibot_loss, …}`.
#pragma once

#include <string>

#include "ibot/io/torch_value.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/step.h"

namespace ibot::train {

/// Whether a .pth holds a whole run: both networks and the optimiser.
bool is_official_checkpoint(const io::Value& root);

/// What `step` needs to go on from the file: networks, optimiser moments, centers, loss scale. The
/// optimiser's entries are numbered there: the parameters that decay in the network's order, then
/// the others; one without entry never took a step. Of the run's position `epochs` alone is in the
/// file; of files that we wrote everything comes back.
///
///   source   the file, for messages
///
/// Throws CheckpointError where something is missing, of another shape or of another optimiser.
Checkpoint from_official(const io::Value& root, const std::string& source, const TrainStep& step);

/// The reverse: a file whose networks, optimiser, centers and epoch the official program resumes
/// from, and whose networks its evaluations read. `checkpoint.run` and `checkpoint.config`, and
/// tensors that the official layout has no place for, lie beside them under `ibot`.
///
///   values       learning rate and weight decay that the optimiser's groups show
///   arguments    the official program's arguments
io::Value to_official(const Checkpoint& checkpoint, const TrainStep& step,
                      const optim::StepValues& values, const io::Dict& arguments);

}  // namespace ibot::train
