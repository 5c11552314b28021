// The readers of untrusted files, as libFuzzer calls them and as a test replays its corpus.
#pragma once

#include <string_view>

namespace ibot::fuzz {

/// Each reads the bytes as a file of its kind. A refusal of the library's own kind is the expected
/// end; any other exception leaves.
void read_safetensors(std::string_view bytes);
void read_pickle(std::string_view bytes);
void read_config(std::string_view bytes);
void read_tar(std::string_view bytes);
void read_image(std::string_view bytes);

}  // namespace ibot::fuzz
