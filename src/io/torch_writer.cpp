#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <map>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "ibot/io/torch_file.h"
#include "io/storage_classes.h"

namespace ibot::io {
namespace {

/// Protocol 2, which every Python 3 reads, without a memo: repeated values are written repeatedly,
/// except for the bytes of storages.
class Pickler {
 public:
  std::string pickle(const Value& root) {
    text_ = "\x80\x02";
    write(root);
    text_ += '.';
    return std::move(text_);
  }

  /// Storages encountered, in the order of their keys 0, 1, …; each [bytes] uint8.
  const std::vector<torch::Tensor>& storages() const { return storages_; }

 private:
  void write(const Value& value) {
    if (value.is_none()) {
      text_ += 'N';
    } else if (const auto flag = value.boolean()) {
      text_ += *flag ? '\x88' : '\x89';
    } else if (const auto whole = value.integer()) {
      write(*whole);
    } else if (const auto number = value.number()) {
      // BINFLOAT is big-endian, unlike the integers.
      text_ += 'G';
      append(__builtin_bswap64(std::bit_cast<uint64_t>(*number)));
    } else if (value.text() != nullptr) {
      write(*value.text());
    } else if (value.list() != nullptr) {
      write(*value.list());
    } else if (value.dict() != nullptr) {
      write(*value.dict());
    } else {
      IBOT_CHECK(value.tensor() != nullptr, "write_torch_file: cannot write ", kind_of(value));
      write(*value.tensor());
    }
  }

  void write(int64_t value) {
    // BININT holds 4 signed bytes, LONG1 with a length of 8 the others.
    if (value == static_cast<int32_t>(value)) {
      text_ += 'J';
      append(static_cast<int32_t>(value));
    } else {
      text_ += "\x8a\x08";
      append(value);
    }
  }

  void write(const std::string& value) {
    IBOT_CHECK(value.size() <= UINT32_MAX, "write_torch_file: expected text below 4 GB");
    text_ += 'X';
    append(static_cast<uint32_t>(value.size()));
    text_ += value;
  }

  void write(const List& list) {
    // MARK … TUPLE, or EMPTY_LIST MARK … APPENDS.
    text_ += list.tuple ? "(" : "](";
    for (const Value& item : list.items) write(item);
    text_ += list.tuple ? 't' : 'e';
  }

  void write(const Dict& dict) {
    // EMPTY_DICT or a call, then MARK … SETITEMS.
    text_ += dict.type == "collections.OrderedDict" ? kEmptyOrderedDict : "}";
    text_ += '(';
    for (const auto& [key, value] : dict.items) {
      write(key);
      write(value);
    }
    text_ += 'u';
  }

  void write(const torch::Tensor& tensor) {
    IBOT_CHECK(tensor.defined() && tensor.layout() == torch::kStrided,
               "write_torch_file: expected dense tensors");
    IBOT_CHECK(!tensor.is_quantized(), "write_torch_file: expected tensors without quantization");
    const auto known =
        std::find_if(kStorageClasses.begin(), kStorageClasses.end(),
                     [&](const auto& candidate) { return candidate.type == tensor.scalar_type(); });
    IBOT_CHECK(known != kStorageClasses.end(), "write_torch_file: expected a known dtype, got ",
               tensor.scalar_type());
    // Newer dtypes have no storage class: UntypedStorage, counted in bytes, and rebuild version 3,
    // which takes the dtype as its last argument.
    const bool untyped = known->storage.empty();
    text_ += concat("ctorch._utils\n_rebuild_tensor_v", untyped ? 3 : 2, "\n((");
    write(std::string("storage"));
    text_ +=
        untyped ? "ctorch.storage\nUntypedStorage\n" : concat("ctorch\n", known->storage, '\n');
    const auto key = storage_key(tensor);
    write(std::to_string(key));
    write(std::string("cpu"));
    write(storages_[key].numel() / (untyped ? 1 : static_cast<int64_t>(tensor.element_size())));
    // BINPERSID: the loader maps ('storage', class, key, device, size) to the archive's data/KEY.
    text_ += "tQ";
    write(tensor.storage_offset());
    write(tensor.sizes());
    write(tensor.strides());
    text_ += '\x89';             // requires_grad
    text_ += kEmptyOrderedDict;  // hooks
    if (untyped) text_ += concat("ctorch\n", known->dtype, '\n');
    text_ += "tR";
  }

  void write(at::IntArrayRef values) {
    text_ += '(';
    for (const int64_t value : values) write(value);
    text_ += 't';
  }

  size_t storage_key(const torch::Tensor& tensor) {
    // Keyed by storage: tensors that share bytes share them in the file too.
    const auto [found, added] =
        keys_.try_emplace(tensor.storage().unsafeGetStorageImpl(), storages_.size());
    if (added) {
      const auto size = static_cast<int64_t>(tensor.storage().nbytes());
      storages_.push_back(
          torch::empty({0}, tensor.options().dtype(torch::kByte).requires_grad(false))
              .set_(tensor.storage(), 0, {size}, {1}));
    }
    return found->second;
  }

  template <class T>
  void append(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  static constexpr const char* kEmptyOrderedDict = "ccollections\nOrderedDict\n)R";

  std::string text_;
  std::map<const void*, size_t> keys_;
  std::vector<torch::Tensor> storages_;
};

}  // namespace

void write_torch_file(const std::filesystem::path& path, const Value& root) {
  Pickler pickler;
  const auto pickle = pickler.pickle(root);
  write_file(path, [&](const ByteSink& sink) {
    // An exception must not pass through the archive writer's C code, so it is rethrown at the end.
    std::exception_ptr problem;
    caffe2::serialize::PyTorchStreamWriter archive([&](const void* data, size_t size) {
      try {
        if (!problem) sink(data, size);
      } catch (...) {
        problem = std::current_exception();
      }
      return size;
    });
    archive.writeRecord("data.pkl", pickle.data(), pickle.size());
    archive.writeRecord("byteorder", "little", 6);
    for (size_t key = 0; key < pickler.storages().size(); ++key) {
      // One at a time: at most one storage of another device is in host memory.
      const auto host = pickler.storages()[key].to(torch::kCPU);
      archive.writeRecord("data/" + std::to_string(key), host.const_data_ptr(), host.nbytes());
    }
    archive.writeEndOfFile();
    if (problem) std::rethrow_exception(problem);
  });
}

}  // namespace ibot::io
