// Selection of a device by name.
#pragma once

#include <torch/types.h>

#include <string>

#include "ibot/dist/rendezvous.h"

namespace ibot::apps {

/// "auto" is a GPU if there is one, otherwise the CPU; for "auto" and "cuda" each process of a node
/// has its own GPU, which becomes the current one. Own kernels are compared there with LibTorch's
/// operators, and a warning tells which differ and are not used. Throws ConfigError, with `key`
/// first, for an invalid name, for a GPU that does not exist, and if several processes of a node
/// would share one.
///
/// Tests build programs in which "hpu" is a stand-in for a GPU; LibTorch itself has none.
torch::Device choose_device(const std::string& key, const std::string& name,
                            const dist::Launch& launch = {});

}  // namespace ibot::apps
