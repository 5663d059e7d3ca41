"""A DEQ transformer with the public code's tensor names, its scores written out pair by pair."""

import math

import torch
from torch import nn
from torch.nn import functional


class DEQTransformerLM(nn.Module):
    """Stands for the authors' class: its attributes, its tensor names, its equations."""

    def __init__(self, n_token=23, d_model=16, n_head=2, d_inner=24, *, pre_lnorm=False, local_size=0, wnorm=False,
                 cutoffs=(), div_val=1, d_embed=None):  # fmt: skip
        super().__init__()
        d_embed = d_embed or d_model
        self.n_token, self.d_model, self.n_head, self.d_embed = n_token, d_model, n_head, d_embed
        self.inject_conv, self.func, self.pos_emb = nn.Conv1d(d_model, 3 * d_model, 1), nn.Module(), nn.Module()
        self.pos_emb.register_buffer("inv_freq", 1 / 10000 ** (torch.arange(0.0, d_model, 2.0) / d_model))
        attention, mlp = nn.Module(), nn.Module()
        attention.qkv_net = nn.Conv1d(d_model, 3 * d_model, 1, bias=False)
        attention.r_net = nn.Conv1d(d_model, d_model, 1, bias=False)
        attention.o_net = nn.Conv1d(d_model, d_model, 1)
        attention.r_w_bias, attention.r_r_bias = (nn.Parameter(torch.randn(n_head, d_model // n_head)) for _ in "ab")
        attention.d_head, attention.pre_lnorm, attention.local_size = d_model // n_head, pre_lnorm, local_size
        mlp.ff1_net, mlp.ff2_net, mlp.d_inner = nn.Linear(d_model, d_inner), nn.Linear(d_inner, d_model), d_inner
        self.func.dec_attn, self.func.pos_ff = attention, mlp
        self.word_emb, self.crit = nn.Module(), nn.Module()
        self.word_emb.div_val, self.word_emb.cutoffs = div_val, [*cutoffs, n_token]
        self.ends = [0, *cutoffs, n_token]
        tables = 1 if div_val == 1 else len(cutoffs) + 1
        widths = [d_embed // div_val**i for i in range(len(cutoffs) + 1)]
        rows = [n_token] if div_val == 1 else [b - a for a, b in zip(self.ends, self.ends[1:], strict=False)]
        self.projected = div_val != 1 or d_embed != d_model
        self.word_emb.emb_layers = nn.ModuleList(nn.Embedding(rows[i], widths[i]) for i in range(tables))
        self.crit.out_layers = nn.ModuleList(nn.Linear(widths[i], rows[i]) for i in range(tables))
        if self.projected:
            self.word_emb.emb_projs = nn.ModuleList(nn.Linear(widths[i], d_model, bias=False) for i in range(tables))
            self.crit.out_projs = nn.ModuleList(nn.Linear(w, d_model, bias=False) for w in widths)
        if cutoffs:
            self.crit.cluster_weight = nn.Parameter(torch.randn(len(cutoffs), d_embed))
            self.crit.cluster_bias = nn.Parameter(torch.randn(len(cutoffs)))
        if wnorm:
            for net in (attention.qkv_net, attention.r_net, attention.o_net, mlp.ff1_net, mlp.ff2_net):
                v = net.weight.detach()
                del net.weight
                net.weight_g = nn.Parameter(v.flatten(1).norm(dim=1).reshape(-1, *[1] * (v.ndim - 1)) * 0.7)
                net.weight_v = nn.Parameter(v)

    def weight(self, net):
        if not hasattr(net, "weight_g"):
            return net.weight.flatten(1)
        return (net.weight_v / net.weight_v.flatten(1).norm(dim=1).reshape(net.weight_g.shape) * net.weight_g).flatten(
            1
        )

    def embed(self, ids):
        rows = []
        for i in ids.tolist():
            c = 0 if self.word_emb.div_val == 1 else next(k for k in range(99) if i < self.ends[k + 1])
            row = self.word_emb.emb_layers[c].weight[i if self.word_emb.div_val == 1 else i - self.ends[c]]
            rows.append(self.word_emb.emb_projs[c].weight @ row if self.projected else row)
        return torch.stack(rows) * math.sqrt(self.d_model)

    def loop(self, z, ids):
        """One loop on one state (tokens, width)."""
        a, m, d, size = self.func.dec_attn, self.func.pos_ff, self.d_model, self.d_model // self.n_head
        u = self.inject_conv(self.embed(ids).T[None])[0].T
        n = len(ids)
        inner = functional.layer_norm(z, (d,)) if a.pre_lnorm else z
        q, k, v = (inner @ self.weight(a.qkv_net).T + u).split(d, dim=-1)
        out = torch.zeros_like(z)
        for h in range(self.n_head):
            part = slice(h * size, (h + 1) * size)
            for i in range(n):
                seen = [j for j in range(i + 1) if i - j < (a.local_size or 1000)]
                scores = []
                for j in seen:
                    angle = (i - j) * self.pos_emb.inv_freq.to(z)
                    r = (self.weight(a.r_net) @ torch.cat([angle.sin(), angle.cos()]))[part]
                    score = (q[i, part] + a.r_w_bias[h]) @ k[j, part] + (q[i, part] + a.r_r_bias[h]) @ r
                    scores.append(score / math.sqrt(size))
                out[i, part] = torch.stack(scores).softmax(0) @ v[seen][:, part]
        y = z + out @ self.weight(a.o_net).T + a.o_net.bias
        y = functional.layer_norm(y, (d,))  # of attention in post-norm, of the MLP in pre-norm: there the same
        out = y + torch.relu(y @ self.weight(m.ff1_net).T + m.ff1_net.bias) @ self.weight(m.ff2_net).T + m.ff2_net.bias
        return out if a.pre_lnorm else functional.layer_norm(out, (d,))

    def log_probabilities(self, z):
        """Of every id, one after the other."""
        o, hidden = self.crit.out_layers, []
        for i in range(len(self.ends) - 1):
            hidden.append(z @ self.crit.out_projs[i].weight if self.projected else z)
        if len(self.ends) == 2:
            return (hidden[0] @ o[0].weight.T + o[0].bias).log_softmax(-1)
        whole = self.word_emb.div_val == 1
        found = []
        for c, (low, high) in enumerate(zip(self.ends, self.ends[1:], strict=False)):
            w, b = (o[0].weight[low:high], o[0].bias[low:high]) if whole else (o[c].weight, o[c].bias)
            if c == 0:
                w, b = torch.cat([w, self.crit.cluster_weight]), torch.cat([b, self.crit.cluster_bias])
                head = (hidden[0] @ w.T + b).log_softmax(-1)
                found.append(head[:, :high])
            else:
                found.append(head[:, -c, None] + (hidden[c] @ w.T + b).log_softmax(-1))
        return torch.cat(found, -1)
