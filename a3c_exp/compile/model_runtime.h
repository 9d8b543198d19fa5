// What surrounds the code that Inductor generates for one function: its constants, and the C interface by which torch loads
// and calls it (torch::inductor::AOTIModelContainerRunner). torch's own (aoti_runtime/model_base.h, model_container.h,
// interface.cpp) also serves models on GPUs, called by several threads, whose constants are exchanged; compiling it anew with
// each function takes longer than compiling the function. Here there is one model, called by one thread at a time. What is
// computed is the same: all of it is in the generated code.
#pragma once

// Only kernels need the processor's own instructions, whose headers are most of what would be read here.
#undef CPU_CAPABILITY_AVX2
#undef CPU_CAPABILITY_AVX512

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <torch/csrc/inductor/aoti_runtime/constant_type.h>
#include <torch/csrc/inductor/aoti_runtime/utils.h>
#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>

extern uint8_t _binary_constants_bin_start[];  // of an object file that is linked with this one

extern "C" __attribute__((weak)) void sgemm_(  // BLAS in torch's own library; null where torch has another
    const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*, const float*,
    const int*, const float*, float*, const int*);

[[maybe_unused]] inline int64_t align(int64_t num_bytes) {  // as generated code rounds up the parts of a block of memory
  return (num_bytes + 63) & -64;
}

namespace torch::aot_inductor {

using DeviceStreamType = void*;
struct ConstantMap {};  // generated code only passes it on

class AOTInductorModelKernelsBase {
 public:
  virtual ~AOTInductorModelKernelsBase() = default;
};

struct Named {
  const char* name = nullptr;
};

struct ConstantInfo : Named {
  std::vector<int64_t> shape, stride;
  int32_t dtype = 0, device_type = 0, layout = 0, type = 0;
  int64_t offset = 0;
  size_t data_size = 0;
  std::vector<uint8_t> opaque_metadata;
  const char* original_fqn = nullptr;
  bool from_folded = false;
};

class AOTInductorModelBase {
 public:
  AOTInductorModelBase(
      size_t num_inputs,
      size_t num_outputs,
      size_t num_constants,
      const std::string&,
      std::optional<std::string>,
      bool)
      : inputs_info_(num_inputs), outputs_info_(num_outputs), constants_info_(num_constants) {}

  size_t num_inputs() const {
    return inputs_info_.size();
  }

  size_t num_outputs() const {
    return outputs_info_.size();
  }

  // Copies each constant to memory of its own, aligned for the kernels.
  void load_constants() {
    constexpr size_t alignment = 64;
    const uint8_t* source = _binary_constants_bin_start;
    for (const auto& info : constants_info_) {
      AOTI_RUNTIME_CHECK(!info.from_folded, "a constant is to be computed first");
      const size_t room = (info.data_size + alignment - 1) / alignment * alignment;
      memory_.emplace_back(std::aligned_alloc(alignment, room ? room : alignment), std::free);
      void* data = memory_.back().get();
      AOTI_RUNTIME_CHECK(data != nullptr, "out of memory");
      std::memcpy(data, source, info.data_size);
      source += info.data_size;
      AtenTensorHandle tensor = nullptr;
      AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_create_tensor_from_blob_v2(
          data, static_cast<int64_t>(info.shape.size()), info.shape.data(), info.stride.data(), info.offset, info.dtype,
          info.device_type, device_idx_, &tensor, info.layout, info.opaque_metadata.data(),
          static_cast<int64_t>(info.opaque_metadata.size())));
      tensors_.emplace_back(tensor);
      constants_->emplace_back(tensor);
    }
  }

 protected:
  void update_constants_map(std::shared_ptr<ConstantMap>) {}
  void update_constants_array(std::shared_ptr<std::vector<ConstantHandle>> constants) {
    constants_ = std::move(constants);
  }

  std::vector<Named> inputs_info_, outputs_info_;
  std::vector<ConstantInfo> constants_info_;
  std::string in_spec_, out_spec_;
  std::shared_ptr<std::vector<ConstantHandle>> constants_;
  int32_t device_idx_ = -1;

 private:
  std::vector<std::unique_ptr<void, void (*)(void*)>> memory_;
  std::vector<RAIIAtenTensorHandle> tensors_;
};

class AOTInductorModel : public AOTInductorModelBase {
 public:
  AOTInductorModel(
      std::shared_ptr<ConstantMap> constants_map,
      std::shared_ptr<std::vector<ConstantHandle>> constants_array,
      const std::string& device_str,
      std::optional<std::string> cubin_dir);

  std::unordered_map<std::string, AtenTensorHandle> const_run_impl(
      DeviceStreamType stream, AOTIProxyExecutorHandle proxy_executor, bool initialization = false);
  void _const_run_impl(
      std::vector<AtenTensorHandle>& output_handles, DeviceStreamType stream, AOTIProxyExecutorHandle proxy_executor);
  void run_impl(
      AtenTensorHandle* input_handles,
      AtenTensorHandle* output_handles,
      DeviceStreamType stream,
      AOTIProxyExecutorHandle proxy_executor);

 private:
  std::unique_ptr<AOTInductorModelKernelsBase> kernels_;
};

// Operations with outputs that are given refuse tensors that autograd may follow.
class WithoutGradients {
 public:
  WithoutGradients() : before_(aoti_torch_grad_mode_is_enabled()) {
    aoti_torch_grad_mode_set_enabled(false);
  }
  ~WithoutGradients() {
    aoti_torch_grad_mode_set_enabled(before_);
  }

 private:
  bool before_;
};

// Products of small matrices, of which most of the time went into torch's dispatch: the call of BLAS that torch comes to.
class Matrix {
 public:
  explicit Matrix(AtenTensorHandle tensor) {
    int64_t *sizes = nullptr, *strides = nullptr;
    void* data = nullptr;
    int32_t dtype = 0;
    aoti_torch_get_dtype(tensor, &dtype);
    aoti_torch_get_dim(tensor, &dims);
    aoti_torch_get_sizes(tensor, &sizes);
    aoti_torch_get_strides(tensor, &strides);
    aoti_torch_get_data_ptr(tensor, &data);
    numbers = dtype == aoti_torch_dtype_float32() ? static_cast<float*>(data) : nullptr;
    for (int64_t i = 0; i < dims && i < 2; ++i) {
      size[i] = sizes[i];
      stride[i] = strides[i];
    }
  }

  // Whether its rows (columns) are contiguous, one after another.
  bool is_in_rows() const {
    return stride[1] == 1 && (size[0] == 1 || stride[0] >= std::max<int64_t>(1, size[1]));
  }
  bool is_in_columns() const {
    return stride[0] == 1 && (size[1] == 1 || stride[1] >= std::max<int64_t>(1, size[0]));
  }

  const int64_t* longest_stride() const {
    return std::max_element(stride, stride + 2);
  }

  float* numbers = nullptr;
  int64_t dims = 0, size[2] = {1, 1}, stride[2] = {0, 0};
};

// result = beta result + left right, if all three are such as BLAS takes; else nothing is done, and the answer is false.
inline bool multiply(const Matrix& result, const Matrix& left, const Matrix& right, float beta) {
  const int64_t m = result.size[0], n = result.size[1], k = left.size[1];
  bool fits = sgemm_ != nullptr && result.dims == 2 && left.dims == 2 && right.dims == 2 && m > 0 && n > 0 && k > 0;
  fits = fits && result.numbers && left.numbers && right.numbers;
  fits = fits && result.is_in_rows() && (left.is_in_rows() || left.is_in_columns());
  fits = fits && (right.is_in_rows() || right.is_in_columns());
  if (!fits || std::max({m, n, k, result.stride[0], *left.longest_stride(), *right.longest_stride()}) > INT32_MAX) {
    return false;
  }
  // BLAS counts by columns, so it is given the transposed product: result' = right' left'.
  const auto leading = [](const Matrix& matrix, bool in_rows) {
    const int64_t line = in_rows ? 0 : 1;
    return static_cast<int>(matrix.size[line] == 1 ? std::max<int64_t>(1, matrix.size[1 - line]) : matrix.stride[line]);
  };
  const bool left_in_rows = left.is_in_rows(), right_in_rows = right.is_in_rows();
  const int rows = static_cast<int>(n), columns = static_cast<int>(m), inner = static_cast<int>(k);
  const int result_leading = leading(result, true);
  const int left_leading = leading(left, left_in_rows), right_leading = leading(right, right_in_rows);
  const float one = 1.0f;
  sgemm_(
      right_in_rows ? "n" : "t", left_in_rows ? "n" : "t", &rows, &columns, &inner, &one, right.numbers, &right_leading,
      left.numbers, &left_leading, &beta, result.numbers, &result_leading);
  return true;
}

inline AOTITorchError matrix_product(AtenTensorHandle out, AtenTensorHandle left, AtenTensorHandle right) {
  return multiply(Matrix(out), Matrix(left), Matrix(right), 0.0f) ? AOTI_TORCH_SUCCESS : aoti_torch_cpu_mm_out(out, left, right);
}

inline AOTITorchError biased_matrix_product(
    AtenTensorHandle out, AtenTensorHandle bias, AtenTensorHandle left, AtenTensorHandle right, double beta, double alpha) {
  const Matrix result(out), added(bias);
  const bool fits = beta == 1.0 && alpha == 1.0 && result.numbers && added.numbers && result.is_in_rows() &&
      added.dims == 1 && added.size[0] == result.size[1] && added.stride[0] == 1;
  for (int64_t i = 0; fits && i < result.size[0]; ++i) {
    std::memcpy(result.numbers + i * result.stride[0], added.numbers, added.size[0] * sizeof(float));
  }
  if (fits && multiply(result, Matrix(left), Matrix(right), 1.0f)) {
    return AOTI_TORCH_SUCCESS;
  }
  return aoti_torch_cpu_addmm_out(out, bias, left, right, beta, alpha);
}
#define aoti_torch_cpu_mm_out matrix_product
#define aoti_torch_cpu_addmm_out biased_matrix_product

inline thread_local std::string last_error;

template <typename Action>
int32_t error_code_of(Action&& action) {
  try {
    action();
    return 0;
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown exception";
  }
  return 1;
}

}  // namespace torch::aot_inductor

extern "C" {
#define EXPORTED __attribute__((__visibility__("default"))) inline __attribute__((used)) int32_t

EXPORTED AOTInductorModelContainerCreateWithDevice(
    torch::aot_inductor::AOTInductorModel** model, size_t, const char* device, const char*) {
  return torch::aot_inductor::error_code_of([&] {
    auto constants = std::make_shared<std::vector<torch::aot_inductor::ConstantHandle>>();
    auto made = std::make_unique<torch::aot_inductor::AOTInductorModel>(nullptr, constants, device, std::nullopt);
    made->load_constants();
    *model = made.release();
  });
}

EXPORTED AOTInductorModelContainerDelete(torch::aot_inductor::AOTInductorModel* model) {
  delete model;
  return 0;
}

EXPORTED AOTInductorModelContainerGetNumOutputs(torch::aot_inductor::AOTInductorModel* model, size_t* number) {
  *number = model->num_outputs();
  return 0;
}

EXPORTED AOTInductorModelContainerRun(
    torch::aot_inductor::AOTInductorModel* model,
    AtenTensorHandle* inputs,
    size_t num_inputs,
    AtenTensorHandle* outputs,
    size_t num_outputs,
    void* stream,
    AOTIProxyExecutorHandle proxy_executor) {
  return torch::aot_inductor::error_code_of([&] {
    AOTI_RUNTIME_CHECK(num_inputs == model->num_inputs(), "wrong number of inputs");
    AOTI_RUNTIME_CHECK(num_outputs == model->num_outputs(), "wrong number of outputs");
    torch::aot_inductor::WithoutGradients guard;
    model->run_impl(inputs, outputs, stream, proxy_executor);
  });
}

EXPORTED AOTInductorGetLastError(const char** message) {
  *message = torch::aot_inductor::last_error.c_str();
  return 0;
}

// What torch looks for when it loads a model, and is never called here.
#define NOT_OFFERED(name) \
  EXPORTED name() {       \
    return 1;             \
  }
NOT_OFFERED(AOTInductorModelContainerRunSingleThreaded)
NOT_OFFERED(AOTInductorModelContainerGetNumConstants)
NOT_OFFERED(AOTInductorModelContainerGetConstantName)
NOT_OFFERED(AOTInductorModelContainerGetConstantOriginalFQN)
NOT_OFFERED(AOTInductorModelContainerGetConstantDtype)
NOT_OFFERED(AOTInductorModelContainerExtractConstantsMap)
NOT_OFFERED(AOTInductorModelContainerUpdateConstantBuffer)
NOT_OFFERED(AOTInductorModelContainerUpdateConstantBufferFromCpu)
NOT_OFFERED(AOTInductorModelContainerUpdateInactiveConstantBuffer)
NOT_OFFERED(AOTInductorModelContainerUpdateUserManagedConstantBuffer)
NOT_OFFERED(AOTInductorModelContainerRunConstantFolding)
NOT_OFFERED(AOTInductorModelContainerSwapConstantBuffer)
NOT_OFFERED(AOTInductorModelContainerFreeInactiveConstantBuffer)
NOT_OFFERED(AOTInductorModelContainerGetCallSpec)
NOT_OFFERED(AOTInductorModelContainerGetConstantsBlobSize)
NOT_OFFERED(AOTInductorModelUpdateConstantsFromBlob)
#undef NOT_OFFERED
#undef EXPORTED
}
