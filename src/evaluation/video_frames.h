// How a network sees the frames of a video.
#pragma once

#include <cstdint>

#include "ibot/batch/normalization.h"
#include "ibot/image/thumbnail.h"

namespace ibot::evaluation {

/// The deviation of red is 0.228 here, as the reference has it.
///
/// Source: reference `eval_video_segmentation.py` (read_frame).
batch::Normalization frame_normalization(batch::Normalization normalization);

/// The size of a frame: its short side is `short_side`, the long one a multiple of 64 pixels, cut
/// off.
///
/// Source: reference `eval_video_segmentation.py` (read_frame).
data::ImageSize network_size(data::ImageSize size, int64_t short_side);

}  // namespace ibot::evaluation
