#include "fuzz/targets.h"
#include "ibot/config/yaml.h"
#include "ibot/image/augment_options.h"
#include "ibot/loss/loss_options.h"
#include "ibot/mask/mask_options.h"
#include "ibot/optim/optim_options.h"
#include "ibot/train/train_options.h"

namespace ibot::fuzz {
namespace {

/// Sections with every type of field, and no more: those of networks need all of LibTorch.
struct Config {
  data::AugmentOptions augment;
  mask::MaskOptions mask;
  loss::LossOptions loss;
  optim::OptimOptions optim;
  train::TrainOptions train;

  template <class Visitor>
  void sections(Visitor&& section) {
    section("augment", augment);
    section("mask", mask);
    section("loss", loss);
    section("optim", optim);
    section("train", train);
  }
};

}  // namespace

void read_config(std::string_view bytes) {
  try {
    config::parse_config<Config>(bytes, "fuzz.yaml");
  } catch (const ConfigError&) {
  }
}

}  // namespace ibot::fuzz

#ifdef IBOT_FUZZ
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ibot::fuzz::read_config({reinterpret_cast<const char*>(data), size});
  return 0;
}
#endif
