// Renders CPPN programs: one thread for each pixel, one row of blocks for each picture, one launch for each batch.
//
// core/src/cppn/code.rs describes the words of a program. The arithmetic is that of core/src/math.rs, core/src/cppn/render.rs and
// core/src/color.rs, operation by operation, so every byte is the same. This holds as long as multiplications and additions are not
// contracted and division is correctly rounded: it is compiled with --fmad=false --prec-div=true --ftz=false.
//
// Nothing is included, so NVRTC needs no header files. A test compiles the same text as C++, with shim.h in front.
//
// VALUES is the largest number of values of a program; the host chooses it for each batch.

typedef unsigned int u32;
typedef unsigned char u8;
typedef unsigned long long u64;

#define OPERAND_X 0
#define OPERAND_Y 1
#define OPERAND_CONSTANT 2
#define OPERAND_VALUES 3

static __device__ __forceinline__ float number(u32 bits) { return __uint_as_float(bits); }
static __device__ __forceinline__ u32 bits(float number) { return __float_as_uint(number); }
static __device__ __forceinline__ float magnitude(float x) { return number(bits(x) & 0x7fffffffu); }

// --- math.rs

#define ROUND 12582912.0f
#define ROUND_FAR 206158430208.0f

static __device__ float sine(float x) {
    const float reciprocal = number(0x3ea2f983u);
    const float pi0 = number(0x40490000u), pi1 = number(0x3a7dc000u), pi2 = number(0xb4af0000u);
    const float pi3 = number(0x2f05c000u), pi4 = number(0xa9e7b967u), tail = number(0x2f05a309u);
    // reduce_far, which gives the same bits as reduce_near where both are allowed.
    float far = (x * reciprocal + ROUND_FAR) - ROUND_FAR;
    float near = (x - far * pi0) - far * pi1;
    float third = far * pi2;
    float shifted = (near - third) * reciprocal + ROUND;
    float k = shifted - ROUND;
    float left = ((near - k * pi0) - k * pi1) - third;
    float r = left - far * pi3;
    float lost = (left - r) - far * pi3;
    r = (r - k * pi2) - ((k * tail + far * pi4) - lost);
    r = number(bits(r) ^ (bits(shifted) << 31));
    // sin_reduced
    float s = r * r;
    float p = number(0x362ee425u);
    p = p * s + number(0xb94fb875u);
    p = p * s + number(0x3c08876du);
    p = p * s + number(0xbe2aaaa6u);
    return r + r * s * p;
}

static __device__ float exp_reduced(float r) {
    float p = number(0x3ab5f597u);
    p = p * r + number(0x3c091680u);
    p = p * r + number(0x3d2aab40u);
    p = p * r + number(0x3e2aaa55u);
    p = p * r + number(0x3effffffu);
    return r * r * p;
}

static __device__ __forceinline__ float power_of_two(u32 rounding) { return number((rounding + 127u) << 23); }

struct Split {
    u32 rounding;
    float rest;
};

static __device__ Split split_ln_2(float x) {
    Split split;
    float shifted = x * number(0x3fb8aa3bu) + ROUND;
    float n = shifted - ROUND;
    split.rounding = bits(shifted);
    split.rest = (x - n * number(0x3f317200u)) - n * number(0x35bfbe8eu);
    return split;
}

static __device__ float sigmoid(float x) {
    float a = magnitude(x);
    a = a < 20.0f ? a : 20.0f;
    Split t = split_ln_2(a);
    float scale = power_of_two(t.rounding);
    float e = (scale - 1.0f) + scale * (t.rest + exp_reduced(t.rest));
    bool beyond = a > 1.1f;
    float one = beyond ? 1.0f : 0.0f;
    float numerator = beyond ? 2.0f : e;
    float signless = one - numerator / (e + 2.0f);
    return number((bits(signless) & 0x7fffffffu) | (bits(x) & 0x80000000u));
}

static __device__ float gaussian(float x) {
    bool inside = magnitude(x) < 9.327f;
    x = inside ? x : 0.0f;
    Split t = split_ln_2(-(x * x));
    float scale = inside ? power_of_two(t.rounding) : 0.0f;
    return scale + scale * (t.rest + exp_reduced(t.rest));
}

static __device__ float linear(float x) {
    x = x < 3.0f ? x : 3.0f;
    x = x > -3.0f ? x : -3.0f;
    return x * (1.0f / 3.0f);
}

static __device__ float square_root(float x) {
    float y = number(0x5f375a86u - (bits(x) >> 1));
    float half = 0.5f * x;
    for (int i = 0; i < 2; i++) y = y * (1.5f - half * y * y);
    float root = x * y;
    return root + 0.5f * y * (x - root * root);
}

// --- color.rs

static __device__ int ramp(int k) {
    k = k >= 1536 ? k - 1536 : k;
    k = k < 1024 - k ? k : 1024 - k;
    k = k < 0 ? 0 : k;
    return k > 256 ? 256 : k;
}

static __device__ u32 divide(u32 x) {
    u32 y = (x + 32640u) >> 8;
    return ((y * 32897u) >> 16) >> 7;
}

// Converts channel bytes to red, green and blue; `colour` is 1 for HSV and 2 for HLS.
static __device__ void to_rgb(int colour, u32 *channel) {
    u32 top, slope;
    int hue, twice = 1;
    if (colour == 1) {
        hue = (int)channel[0] * 6;
        top = channel[2] * 65280u;
        slope = channel[2] * channel[1];
    } else {
        u32 steps = channel[0] >= 180u ? channel[0] - 180u : channel[0];
        u32 light = channel[1], less = light < 255u - light ? light : 255u - light;
        hue = (int)(((steps * 128u + 7u) * 34953u) >> 19);
        slope = channel[2] * less;
        top = light * 65280u + (slope << 8);
        twice = 2;
    }
    for (int i = 0; i < 3; i++) channel[i] = divide(top - slope * (u32)(twice * ramp(hue + (5 - 2 * i) * 256)));
}

// --- render.rs

static __device__ float unit_coordinate(int i, int side) {
    const float last = (float)(side - 1);
    return side < 2 ? 0.0f : (2.0f * (float)i - last) / last;
}

static __device__ u32 to_byte(float value) {
    float scaled = 255.0f * magnitude(value);
    scaled = scaled < 255.0f ? scaled : 255.0f;
    float shifted = scaled + 8388608.0f;
    u32 up = shifted - 8388608.0f > scaled ? 1u : 0u;
    return (bits(shifted) - up) & 255u;
}

static __device__ __forceinline__ float read(u32 operand, float x, float y, const float *values) {
    return operand == OPERAND_X ? x : operand == OPERAND_Y ? y : values[operand - OPERAND_VALUES];
}

// Runs a program for one pixel and stores the bytes of its outputs in `channel`. Returns the number of outputs.
static __device__ int run(const u32 *code, float x, float y, float distance, u32 *channel) {
    float values[VALUES];
    const u32 steps = code[0], outputs = code[2];
    if (code[3]) values[0] = distance;
    const u32 *at = code + 4 + 2 * outputs;
    for (u32 step = 0; step < steps; step++) {
        const u32 activation = at[0], result = at[1], terms = at[2];
        at += 3;
        float sum = 0.0f;
        for (u32 term = 0; term < terms; term++, at += 2) {
            float product = at[0] == OPERAND_CONSTANT ? number(at[1]) : number(at[1]) * read(at[0], x, y, values);
            sum = term == 0 ? product : sum + product;
        }
        values[result] = activation == 0   ? sine(sum)
                         : activation == 1 ? sigmoid(sum)
                         : activation == 2 ? gaussian(sum)
                                           : linear(sum);
    }
    for (u32 i = 0; i < outputs; i++) {
        const u32 operand = code[4 + 2 * i];
        channel[i] = to_byte(operand == OPERAND_CONSTANT ? number(code[5 + 2 * i]) : read(operand, x, y, values));
    }
    return (int)outputs;
}

// What is the same for all pictures of a launch; the same fields are in host/src/gpu/plan.rs.
struct View {
    // The picture: its side, 1 for unit coordinates, and the colour space: 0 for none, 1 for HSV, 2 for HLS.
    int side, unit, colour;
    // The network's input: its size, channels (1, 3, or -3 for blue first), 1 for channels last, and the number of crops.
    int width, height, channels, last, crops;
};

// As in preprocess.rs: the byte for a channel of the network's input.
static __device__ u32 seen(const u32 *channel, int outputs, int at, int channels) {
    if (outputs == 1) return channel[0];
    if (channels == 1) return (299u * channel[0] + 587u * channel[1] + 114u * channel[2] + 500u) / 1000u;
    return channel[channels < 0 ? 2 - at : at];
}

// `starts` has the position of each picture's words in `code`. If `bytes` is not null, the pictures are written to it. If `tensor` is not
// null, the network's input is written to it: `crop` has left, top and 1 for mirrored for each crop, and `table` the number for each byte
// in each channel or, if `mean` is not null, the scale and then the standard deviation of each channel.
extern "C" __global__ void draw(View view, const u32 *code, const u32 *starts, u8 *bytes, float *tensor, const int *crop,
                                const float *table, const float *mean) {
    const int side = view.side, pixel = (int)(blockIdx.x * blockDim.x + threadIdx.x), picture = (int)blockIdx.y;
    if (pixel >= side * side) return;
    const int x = pixel % side, y = pixel / side;
    const float ux = unit_coordinate(x, side), uy = unit_coordinate(y, side);
    u32 channel[3];
    const int outputs = run(code + starts[picture], view.unit ? ux : (float)x, view.unit ? uy : (float)y,
                            square_root(ux * ux + uy * uy), channel);
    if (outputs == 3 && view.colour) to_rgb(view.colour, channel);
    if (bytes) {
        u8 *to = bytes + ((u64)picture * side * side + pixel) * outputs;
        for (int i = 0; i < outputs; i++) to[i] = (u8)channel[i];
    }
    if (!tensor) return;
    const int channels = view.channels < 0 ? -view.channels : view.channels, plane = view.width * view.height;
    for (int c = 0; c < view.crops; c++) {
        int cx = x - crop[3 * c], cy = y - crop[3 * c + 1];
        if (cx < 0 || cx >= view.width || cy < 0 || cy >= view.height) continue;
        if (crop[3 * c + 2]) cx = view.width - 1 - cx;
        const int place = cy * view.width + cx;
        float *to = tensor + ((u64)picture * view.crops + c) * channels * plane;
        for (int i = 0; i < channels; i++) {
            const u32 byte = seen(channel, outputs, i, view.channels);
            const float value = mean ? ((float)byte - mean[i * plane + place]) * table[0] / table[1 + i] : table[256 * i + byte];
            to[view.last ? place * channels + i : i * plane + place] = value;
        }
    }
}
