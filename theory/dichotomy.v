(** * The algebraic core of the dichotomy, checked by Coq 8.16

    A loop is a list of layers, [F = L_k o ... o L_1].  This file proves what holds of every such list, whatever the
    layers are: T0 (telescoping), T1 (rotation of fixed points), the algebra of T2 and T3 (the closed polygon, never
    exactly one active layer, the dichotomy) and the algebra of T5 (equal minimal periods, basins carried by layers).
    The notes T00 ... T05 beside this file state the same theorems in words, with the analysis that is not here.

    How to read it.
    - Part 1 needs a set of states only: layers, sections, rotation, periods.
    - Part 2 needs differences of states: an abstract commutative group.  Increments, polygon, dichotomy.
    - Part 3 needs limits: an abstract notion of convergent sequence.  Limits are fixed points, basins.
    - Part 4 shows that Part 3 speaks of every Hausdorff space with its usual continuity.
    - Part 5 has small maps of the integers: the hypotheses can be met, both horns occur, and what is NOT a theorem fails.
    - The end prints what each theorem rests on: nothing but the rules of Coq.

    Layers count from 0, as in Python: [section Ls l x] is the state just before layer [l] and [rotate l Ls] is the loop
    that starts there, as [m.sections(x)[l]] and [m.rotate(l)] of dynloop.
    Equality of states is exact equality; nothing here speaks of rounding. *)

From Coq Require Import List Arith Lia ZArith.
Import ListNotations.

(** * Part 1: layers, sections, rotation *)

Section Loops.

Variable X : Type.  (* the states; no structure is asked for *)

(** One call of the block: the layers one after another, the first of the list first. *)
Definition loop (Ls : list (X -> X)) (x : X) : X := fold_left (fun y L => L y) Ls x.

(** Layer [l], and section [l]: the state after the first [l] layers. *)
Definition layer (Ls : list (X -> X)) (l : nat) : X -> X := nth l Ls (fun y => y).
Definition section (Ls : list (X -> X)) (l : nat) (x : X) : X := loop (firstn l Ls) x.

(** The sections [x_0 = x, x_1, ..., x_{k-1}] of one loop, [k] of them. *)
Definition sections (Ls : list (X -> X)) (x : X) : list X := map (fun l => section Ls l x) (seq 0 (length Ls)).

(** The cyclic permutation of the layers that starts before layer [l]. *)
Definition rotate (l : nat) (Ls : list (X -> X)) : list (X -> X) := skipn l Ls ++ firstn l Ls.

(** [iterate f t] is [f o ... o f], [t] times. *)
Fixpoint iterate (f : X -> X) (t : nat) (x : X) : X :=
  match t with
  | 0 => x
  | S t' => f (iterate f t' x)
  end.

Lemma loop_app (A B : list (X -> X)) (x : X) : loop (A ++ B) x = loop B (loop A x).
Proof. apply fold_left_app. Qed.

Lemma section_0 (Ls : list (X -> X)) (x : X) : section Ls 0 x = x.
Proof. reflexivity. Qed.

(** After all layers stands the next state. *)
Lemma section_all (Ls : list (X -> X)) (x : X) : section Ls (length Ls) x = loop Ls x.
Proof. unfold section. rewrite firstn_all. reflexivity. Qed.

Lemma firstn_S (Ls : list (X -> X)) (l : nat) :
  l < length Ls -> firstn (S l) Ls = firstn l Ls ++ [layer Ls l].
Proof.
  revert l. induction Ls as [|L Ls IH]; intros l Hl; simpl in Hl; [lia|].
  destruct l as [|l]; [reflexivity|].
  change (L :: firstn (S l) Ls = L :: (firstn l Ls ++ [layer Ls l])).
  rewrite IH by lia. reflexivity.
Qed.

(** Section [l + 1] is section [l] after layer [l]: the definition of the sections in the notes. *)
Lemma section_S (Ls : list (X -> X)) (l : nat) (x : X) :
  l < length Ls -> section Ls (S l) x = layer Ls l (section Ls l x).
Proof.
  intros Hl. unfold section. rewrite firstn_S by exact Hl. rewrite loop_app. reflexivity.
Qed.

(** Every loop can be cut before layer [l]. *)
Lemma loop_cut (Ls : list (X -> X)) (l : nat) (x : X) : loop Ls x = loop (skipn l Ls) (section Ls l x).
Proof. unfold section. rewrite <- loop_app, firstn_skipn. reflexivity. Qed.

Lemma loop_rotate (Ls : list (X -> X)) (l : nat) (x : X) :
  loop (rotate l Ls) x = section Ls l (loop (skipn l Ls) x).
Proof. unfold rotate. rewrite loop_app. reflexivity. Qed.

(** The first layers carry the loop to the rotated loop: a semi-conjugacy, the root of T1, T4 and T5. *)
Lemma carry (Ls : list (X -> X)) (l : nat) (x : X) :
  section Ls l (loop Ls x) = loop (rotate l Ls) (section Ls l x).
Proof. rewrite loop_rotate, <- loop_cut. reflexivity. Qed.

(** The layers that remain carry it back. *)
Lemma carry_back (Ls : list (X -> X)) (l : nat) (y : X) :
  loop (skipn l Ls) (loop (rotate l Ls) y) = loop Ls (loop (skipn l Ls) y).
Proof. rewrite loop_rotate, <- loop_cut. reflexivity. Qed.

(** *** T1, Proposition 4.1 of the paper *)
Theorem rotation_fixed_point (Ls : list (X -> X)) (l : nat) (x : X) :
  loop Ls x = x -> loop (rotate l Ls) (section Ls l x) = section Ls l x.
Proof. intros fixed. rewrite <- carry, fixed. reflexivity. Qed.

(** And back: every fixed point of the rotated loop comes from one of the loop, so their numbers agree. *)
Theorem rotation_fixed_point_back (Ls : list (X -> X)) (l : nat) (y : X) :
  loop (rotate l Ls) y = y -> exists x, loop Ls x = x /\ section Ls l x = y.
Proof.
  intros fixed. exists (loop (skipn l Ls) y). split.
  - rewrite <- carry_back, fixed. reflexivity.
  - rewrite <- loop_rotate. exact fixed.
Qed.

Lemma iterate_plus (f : X -> X) (s t : nat) (x : X) : iterate f (s + t) x = iterate f s (iterate f t x).
Proof. induction s as [|s IH]; simpl; [reflexivity | now rewrite IH]. Qed.

Lemma iterate_inside (f : X -> X) (t : nat) (x : X) : iterate f t (f x) = f (iterate f t x).
Proof. induction t as [|t IH]; simpl; [reflexivity | now rewrite IH]. Qed.

(** The semi-conjugacy along whole orbits. *)
Lemma carry_orbit (Ls : list (X -> X)) (l t : nat) (x : X) :
  section Ls l (iterate (loop Ls) t x) = iterate (loop (rotate l Ls)) t (section Ls l x).
Proof. induction t as [|t IH]; simpl; [reflexivity | now rewrite carry, IH]. Qed.

(** *** T5, periods: a return, and the least one *)
Definition minimal_period (f : X -> X) (x : X) (p : nat) : Prop :=
  0 < p /\ iterate f p x = x /\ forall q, 0 < q < p -> iterate f q x <> x.

(** If one section of a periodic orbit returns after [q] loops, so does the state.  For layers that are not invertible
    this needs that the orbit is periodic: two states may share a section. *)
Lemma return_of_section (Ls : list (X -> X)) (l p q : nat) (x : X) :
  0 < p -> iterate (loop Ls) p x = x ->
  iterate (loop (rotate l Ls)) q (section Ls l x) = section Ls l x ->
  iterate (loop Ls) q x = x.
Proof.
  intros positive period return_.
  rewrite <- carry_orbit in return_.
  apply (f_equal (loop (skipn l Ls))) in return_.
  rewrite <- !loop_cut in return_.
  (* the states agree one loop later; p - 1 loops more come round *)
  apply (f_equal (iterate (loop Ls) (p - 1))) in return_.
  rewrite !iterate_inside in return_.
  change (iterate (loop Ls) (S (p - 1)) (iterate (loop Ls) q x) = iterate (loop Ls) (S (p - 1)) x) in return_.
  replace (S (p - 1)) with p in return_ by lia.
  rewrite <- iterate_plus, Nat.add_comm, iterate_plus, period in return_.
  exact return_.
Qed.

Theorem equal_minimal_periods (Ls : list (X -> X)) (l p : nat) (x : X) :
  minimal_period (loop Ls) x p -> minimal_period (loop (rotate l Ls)) (section Ls l x) p.
Proof.
  intros [positive [period least]]. repeat split.
  - exact positive.
  - rewrite <- carry_orbit, period. reflexivity.
  - intros q Hq return_. apply (least q Hq). exact (return_of_section Ls l p q x positive period return_).
Qed.

Lemma minimal_period_unique (f : X -> X) (x : X) (p q : nat) :
  minimal_period f x p -> minimal_period f x q -> p = q.
Proof.
  intros [P [period_p least_p]] [Q [period_q least_q]].
  destruct (lt_eq_lt_dec p q) as [[less | equal] | more].
  - exfalso. exact (least_q p (conj P less) period_p).
  - exact equal.
  - exfalso. exact (least_p q (conj Q more) period_q).
Qed.

(** So no two sections of a periodic orbit have different minimal periods. *)
Theorem one_period_at_all_sections (Ls : list (X -> X)) (l m r p q : nat) (x : X) :
  minimal_period (loop Ls) x r ->
  minimal_period (loop (rotate l Ls)) (section Ls l x) p ->
  minimal_period (loop (rotate m Ls)) (section Ls m x) q -> p = q.
Proof.
  intros R P Q.
  rewrite (minimal_period_unique _ _ _ _ P (equal_minimal_periods Ls l r x R)).
  exact (minimal_period_unique _ _ _ _ (equal_minimal_periods Ls m r x R) Q).
Qed.

(** [p] loops are one loop of [p k] layers. *)
Lemma loop_repeat (Ls : list (X -> X)) (p : nat) (x : X) : loop (concat (repeat Ls p)) x = iterate (loop Ls) p x.
Proof.
  revert x. induction p as [|p IH]; intros x; simpl; [reflexivity|].
  rewrite loop_app, IH. apply iterate_inside.
Qed.

End Loops.

Arguments loop {X}. Arguments layer {X}. Arguments section {X}. Arguments sections {X}. Arguments rotate {X}.
Arguments iterate {X}. Arguments minimal_period {X}.

(** * Part 2: increments *)

(** A commutative group: what it takes to speak of differences of states. *)
Record Group : Type := {
  state :> Type;
  zero : state;
  plus : state -> state -> state;
  minus : state -> state;
  plus_assoc : forall a b c, plus a (plus b c) = plus (plus a b) c;
  plus_comm : forall a b, plus a b = plus b a;
  plus_zero : forall a, plus a zero = a;
  plus_minus : forall a, plus a (minus a) = zero
}.

Arguments zero {g}. Arguments plus {g}. Arguments minus {g}.
Declare Scope state_scope.
Infix "+" := plus : state_scope.
Notation "- a" := (minus a) : state_scope.
Notation "a - b" := (plus a (minus b)) : state_scope.

Section Increments.

Variable G : Group.
Open Scope state_scope.
Implicit Types (x : G) (Ls : list (G -> G)).

(** [g_l(x_l) = L_l(x_l) - x_l], defined for every layer, residual or not. *)
Definition increment Ls (l : nat) x : G := layer Ls l (section Ls l x) - section Ls l x.
Definition increments Ls x : list G := map (fun l => increment Ls l x) (seq 0 (length Ls)).
Definition sum (gs : list G) : G := fold_right plus zero gs.

Lemma zero_plus (a : G) : zero + a = a.
Proof. rewrite plus_comm. apply plus_zero. Qed.

Lemma difference_zero (a b : G) : a - b = zero -> a = b.
Proof.
  intros H. rewrite <- (plus_zero G a), <- (plus_minus G b), (plus_comm G b), plus_assoc, H. apply zero_plus.
Qed.

Lemma differences_chain (a b c : G) : (b - a) + (c - b) = c - a.
Proof.
  rewrite (plus_comm G (b - a)), plus_assoc, <- (plus_assoc G c), (plus_comm G (- b)), plus_minus, plus_zero.
  reflexivity.
Qed.

Lemma sum_app (A B : list G) : sum (A ++ B) = sum A + sum B.
Proof.
  induction A as [|a A IH]; simpl.
  - rewrite zero_plus. reflexivity.
  - fold (sum (A ++ B)). fold (sum A). rewrite IH. apply plus_assoc.
Qed.

(** Telescoping up to section [n]. *)
Lemma telescoping_to Ls (n : nat) x :
  n <= length Ls -> sum (map (fun l => increment Ls l x) (seq 0 n)) = section Ls n x - x.
Proof.
  induction n as [|n IH]; intros Hn.
  - rewrite section_0, plus_minus. reflexivity.
  - rewrite seq_S, map_app, sum_app, IH by lia. simpl. rewrite plus_zero.
    unfold increment. rewrite <- section_S by lia. apply differences_chain.
Qed.

(** *** T0: the increments of one loop sum to its step.  No hypothesis. *)
Theorem telescoping Ls x : sum (increments Ls x) = loop Ls x - x.
Proof. unfold increments. rewrite telescoping_to, section_all by reflexivity. reflexivity. Qed.

(** *** T2, its algebra: the polygon of increments is closed exactly at the fixed points. *)
Theorem closed_polygon Ls x : loop Ls x = x <-> sum (increments Ls x) = zero.
Proof.
  rewrite telescoping. split.
  - intros fixed. rewrite fixed. apply plus_minus.
  - apply difference_zero.
Qed.

(** A [p]-cycle is a closed polygon of [p k] edges (T5). *)
Theorem closed_polygon_of_cycle Ls (p : nat) x :
  iterate (loop Ls) p x = x <-> sum (increments (concat (repeat Ls p)) x) = zero.
Proof. rewrite <- loop_repeat. apply closed_polygon. Qed.

Lemma edges_of_cycle Ls (p : nat) x : length (increments (concat (repeat Ls p)) x) = (p * length Ls)%nat.
Proof.
  unfold increments. rewrite map_length, seq_length.
  induction p as [|p IH]; simpl; [reflexivity | now rewrite app_length, IH].
Qed.

(** A sum with at most one term that is not zero. *)
Lemma sum_of_one (g : nat -> G) (k i : nat) :
  i < k -> (forall j, j < k -> j <> i -> g j = zero) -> sum (map g (seq 0 k)) = g i.
Proof.
  induction k as [|k IH]; intros Hi others; [lia|].
  rewrite seq_S, map_app, sum_app. simpl. rewrite plus_zero.
  destruct (Nat.eq_dec i k) as [->|different].
  - replace (sum (map g (seq 0 k))) with (zero : G); [apply zero_plus|].
    assert (none : forall n, n <= k -> sum (map g (seq 0 n)) = zero).
    { induction n as [|n IHn]; intros Hn; [reflexivity|].
      rewrite seq_S, map_app, sum_app, IHn by lia. simpl. rewrite plus_zero, zero_plus. apply others; lia. }
    symmetry. apply none. reflexivity.
  - rewrite IH; [| lia | intros j Hj; apply others; lia].
    rewrite (others k) by lia. apply plus_zero.
Qed.

(** If all layers but one do nothing at a fixed point, that one does nothing either. *)
Lemma last_layer_rests Ls x (i : nat) :
  loop Ls x = x -> i < length Ls ->
  (forall j, j < length Ls -> j <> i -> increment Ls j x = zero) -> increment Ls i x = zero.
Proof.
  intros fixed Hi others. apply closed_polygon in fixed.
  rewrite <- (sum_of_one (fun l => increment Ls l x) (length Ls) i Hi others). exact fixed.
Qed.

(** *** T3, first half: exactly one active layer is impossible at a fixed point. *)
Theorem never_one_active_layer Ls x :
  loop Ls x = x ->
  ~ exists i, i < length Ls /\ increment Ls i x <> zero /\
              forall j, j < length Ls -> j <> i -> increment Ls j x = zero.
Proof.
  intros fixed [i [Hi [active others]]]. apply active. exact (last_layer_rests Ls x i fixed Hi others).
Qed.

(** The two horns.  Vanishing: no layer moves its section, and all sections are one point. *)
Definition vanishing Ls x : Prop :=
  (forall l, l < length Ls -> increment Ls l x = zero) /\ (forall l, l < length Ls -> section Ls l x = x).

(** Cyclic: at least two layers move their sections, and two of the k sections differ. *)
Definition cyclic Ls x : Prop :=
  (exists i j, i < j < length Ls /\ increment Ls i x <> zero /\ increment Ls j x <> zero) /\
  (exists i j, i < j < length Ls /\ section Ls i x <> section Ls j x).

Lemma resting_sections Ls x (n : nat) :
  n <= length Ls -> (forall l, l < n -> increment Ls l x = zero) -> forall l, l <= n -> section Ls l x = x.
Proof.
  intros Hn rest l. induction l as [|l IH]; intros Hl; [reflexivity|].
  rewrite section_S by lia. rewrite (difference_zero _ _ (rest l ltac:(lia))). apply IH. lia.
Qed.

(** Search among finitely many increments: this is where equality of states has to be decidable. *)
Lemma first_active (decide : forall a b : G, {a = b} + {a <> b}) (g : nat -> G) (k : nat) :
  (forall l, l < k -> g l = zero) \/ (exists i, i < k /\ g i <> zero).
Proof.
  induction k as [|k [rest | [i [Hi active]]]].
  - left. intros l Hl. lia.
  - destruct (decide (g k) zero) as [zero_k | active].
    + left. intros l Hl. destruct (Nat.eq_dec l k) as [->|]; [exact zero_k | apply rest; lia].
    + right. exists k. split; [lia | exact active].
  - right. exists i. split; [lia | exact active].
Qed.

(** The second active layer: if there is one, there is another. *)
Lemma second_active (decide : forall a b : G, {a = b} + {a <> b}) Ls x (i : nat) :
  loop Ls x = x -> i < length Ls -> increment Ls i x <> zero ->
  exists j, j < length Ls /\ j <> i /\ increment Ls j x <> zero.
Proof.
  intros fixed Hi active.
  destruct (first_active decide (fun l => if Nat.eq_dec l i then zero else increment Ls l x) (length Ls))
    as [rest | [j [Hj other]]].
  - exfalso. apply active. apply (last_layer_rests Ls x i fixed Hi).
    intros j Hj different. specialize (rest j Hj). cbv beta in rest.
    destruct (Nat.eq_dec j i) as [same|_]; [contradiction | exact rest].
  - exists j. cbv beta in other. destruct (Nat.eq_dec j i) as [same|different]; [contradiction other; reflexivity|].
    repeat split; assumption.
Qed.

(** *** T3, the dichotomy: at a fixed point exactly one of the two horns holds.
    The only hypothesis beside the fixed point is that equality of two states can be decided, which classical
    mathematics grants for every set of states.  Without it [never_one_active_layer] still holds. *)
Theorem dichotomy (decide : forall a b : G, {a = b} + {a <> b}) Ls x :
  loop Ls x = x -> (vanishing Ls x \/ cyclic Ls x) /\ ~ (vanishing Ls x /\ cyclic Ls x).
Proof.
  intros fixed. split.
  - destruct (first_active decide (fun l => increment Ls l x) (length Ls)) as [rest | [i [Hi active]]].
    + left. split; [exact rest|]. intros l Hl. apply (resting_sections Ls x (length Ls)); [lia | exact rest | lia].
    + right. destruct (second_active decide Ls x i fixed Hi active) as [j [Hj [different other]]].
      assert (two : exists a b, a < b < length Ls /\ increment Ls a x <> zero /\ increment Ls b x <> zero).
      { destruct (lt_eq_lt_dec i j) as [[less | same] | more].
        - exists i, j. repeat split; try assumption; lia.
        - subst. contradiction.
        - exists j, i. repeat split; try assumption; lia. }
      split; [exact two|].
      (* a layer that is active and not the last joins two sections that differ *)
      destruct two as [a [b [[Hab Hb] [moves _]]]]. exists a, (S a). split; [lia|].
      intros same. apply moves. unfold increment. rewrite <- section_S by lia. rewrite <- same. apply plus_minus.
  - intros [[rest _] [[i [j [Hij [active _]]]] _]]. apply active, rest. lia.
Qed.

(** With one layer only the first horn is left: the class depends on what is called a layer. *)
Theorem one_layer_vanishes (L : G -> G) x : loop [L] x = x -> vanishing [L] x.
Proof.
  intros fixed. split; intros l Hl; simpl in Hl; replace l with 0 by lia.
  - apply (last_layer_rests [L] x 0 fixed); simpl; [lia | intros j Hj different; lia].
  - reflexivity.
Qed.

End Increments.

Arguments increment {G}. Arguments increments {G}. Arguments sum {G}. Arguments vanishing {G}. Arguments cyclic {G}.

Section Parts.

Variables G H : Group.
Variable h : G -> H.
Open Scope state_scope.

(** T3 for a part of the state: one token, one coordinate, whatever a homomorphism [h] reads off.  Only that part has to
    return; the rest of the state may move (a token that rests while later tokens do not). *)
Theorem never_one_active_layer_of_a_part (Ls : list (G -> G)) (x : G) :
  (forall a b, h (a + b) = h a + h b) -> h (loop Ls x) = h x ->
  ~ exists i, i < length Ls /\ h (increment Ls i x) <> zero /\
              forall j, j < length Ls -> j <> i -> h (increment Ls j x) = zero.
Proof.
  intros additive fixed [i [Hi [active others]]]. apply active.
  assert (h_zero : h zero = zero).
  { pose proof (additive zero zero) as twice. rewrite plus_zero in twice.
    apply (f_equal (fun a => a - h zero)) in twice.
    rewrite plus_minus, <- plus_assoc, plus_minus, plus_zero in twice. symmetry. exact twice. }
  assert (h_sum : forall gs, h (sum gs) = sum (map h gs)).
  { induction gs as [|g gs IH]; simpl; [exact h_zero|]. fold (sum gs). rewrite additive, IH. reflexivity. }
  assert (closed : sum (map h (increments Ls x)) = zero).
  { rewrite <- h_sum, telescoping, additive, fixed, <- additive, plus_minus. exact h_zero. }
  unfold increments in closed. rewrite map_map in closed.
  rewrite <- (sum_of_one H (fun l => h (increment Ls l x)) (length Ls) i Hi others). exact closed.
Qed.

End Parts.

(** * Part 3: limits *)

(** What of convergence is used: a limit is unique, and the first states of a sequence do not matter. *)
Record Convergence (X : Type) : Type := {
  tends : (nat -> X) -> X -> Prop;
  tends_unique : forall u x y, tends u x -> tends u y -> x = y;
  tends_later : forall u x, tends u x <-> tends (fun t => u (S t)) x;
  tends_same : forall u v x, (forall t, u t = v t) -> tends u x -> tends v x
}.

Arguments tends {X}. Arguments tends_unique {X}. Arguments tends_later {X}. Arguments tends_same {X}.

Section Limits.

Variable X : Type.
Variable C : Convergence X.
Implicit Types (x y : X) (Ls : list (X -> X)).

(** Continuity at one point, by sequences. *)
Definition continuous_at (f : X -> X) x : Prop := forall u, tends C u x -> tends C (fun t => f (u t)) (f x).

(** Every layer is continuous at its own section of [x]; nothing is asked anywhere else. *)
Definition continuous_along Ls x : Prop := forall l, l < length Ls -> continuous_at (layer Ls l) (section Ls l x).

Lemma continuous_along_firstn Ls (n l : nat) x :
  n <= length Ls -> l < n -> layer (firstn n Ls) l = layer Ls l /\ section (firstn n Ls) l x = section Ls l x.
Proof.
  intros Hn Hl. split.
  - unfold layer. rewrite <- (firstn_skipn n Ls) at 2. rewrite app_nth1; [reflexivity|]. rewrite firstn_length. lia.
  - unfold section. rewrite firstn_firstn. replace (Nat.min l n) with l by lia. reflexivity.
Qed.

(** The sections of a sequence that converges converge to the sections of its limit. *)
Lemma sections_follow Ls x (u : nat -> X) :
  continuous_along Ls x -> tends C u x ->
  forall l, l <= length Ls -> tends C (fun t => section Ls l (u t)) (section Ls l x).
Proof.
  intros continuous limit l. induction l as [|l IH]; intros Hl; [exact limit|].
  rewrite section_S by lia.
  apply (tends_same C (fun t => layer Ls l (section Ls l (u t)))).
  - intros t. symmetry. apply section_S. lia.
  - apply continuous; [lia|]. apply IH. lia.
Qed.

(** *** T2: a limit is a fixed point, and all sections converge to its sections. *)
Theorem limit_is_fixed Ls x0 x :
  continuous_along Ls x -> tends C (fun t => iterate (loop Ls) t x0) x -> loop Ls x = x.
Proof.
  intros continuous limit.
  apply (tends_unique C (fun t => iterate (loop Ls) (S t) x0)).
  - pose proof (sections_follow Ls x _ continuous limit (length Ls) (le_n _)) as all.
    rewrite section_all in all. apply (tends_same C _ _ _ (fun t => section_all X Ls _)). exact all.
  - exact (proj1 (tends_later C _ x) limit).
Qed.

Theorem sections_converge Ls x0 x (l : nat) :
  continuous_along Ls x -> tends C (fun t => iterate (loop Ls) t x0) x -> l <= length Ls ->
  tends C (fun t => section Ls l (iterate (loop Ls) t x0)) (section Ls l x).
Proof. intros continuous limit. exact (sections_follow Ls x _ continuous limit l). Qed.

(** *** T5, basins *)

(** The states that the loop carries to [x] in the end. *)
Definition basin Ls x y : Prop := tends C (fun t => iterate (loop Ls) t y) x.

Lemma carried_forward Ls (l : nat) x y :
  continuous_along Ls x -> l <= length Ls -> basin Ls x y -> basin (rotate l Ls) (section Ls l x) (section Ls l y).
Proof.
  intros continuous Hl inside. unfold basin.
  apply (tends_same C _ _ _ (fun t => carry_orbit X Ls l t y)).
  exact (sections_converge Ls y x l continuous inside Hl).
Qed.

Lemma layer_skipn Ls (l j : nat) : layer (skipn l Ls) j = layer Ls (l + j).
Proof.
  revert Ls. induction l as [|l IH]; intros Ls; [reflexivity|].
  destruct Ls as [|L Ls]; simpl.
  - unfold layer. simpl. destruct j; reflexivity.
  - rewrite IH. reflexivity.
Qed.

Lemma section_skipn Ls (l j : nat) x : section (skipn l Ls) j (section Ls l x) = section Ls (l + j) x.
Proof.
  unfold section. rewrite <- loop_app. f_equal.
  revert Ls. induction l as [|l IH]; intros Ls; [reflexivity|].
  destruct Ls as [|L Ls]; simpl; [now rewrite firstn_nil | now rewrite IH].
Qed.

Lemma continuous_along_rest Ls (l : nat) x :
  continuous_along Ls x -> continuous_along (skipn l Ls) (section Ls l x).
Proof.
  intros continuous j Hj. rewrite skipn_length in Hj.
  rewrite layer_skipn, section_skipn. apply continuous. lia.
Qed.

Lemma tends_from (u : nat -> X) x (n : nat) : tends C (fun t => u (n + t)) x -> tends C u x.
Proof.
  revert u. induction n as [|n IH]; intros u H; [exact H|].
  apply (proj2 (tends_later C u x)). apply IH. exact H.
Qed.

Lemma carried_back Ls (l : nat) x y :
  loop Ls x = x -> continuous_along Ls x -> l <= length Ls ->
  basin (rotate l Ls) (section Ls l x) (section Ls l y) -> basin Ls x y.
Proof.
  intros fixed continuous Hl inside. unfold basin in *.
  apply (proj2 (tends_later C _ x)).
  pose proof (continuous_along_rest Ls l x continuous) as rest.
  pose proof (sections_follow (skipn l Ls) (section Ls l x) _ rest inside (length (skipn l Ls)) (le_n _)) as all.
  rewrite section_all, <- loop_cut, fixed in all.
  refine (tends_same C _ _ _ _ all). intros t.
  rewrite section_all, <- carry_orbit, <- loop_cut. reflexivity.
Qed.

(** The basin of a fixed point is carried to the basin at section [l], and nothing else is. *)
Theorem basins_carried_to_section Ls (l : nat) x y :
  loop Ls x = x -> continuous_along Ls x -> l <= length Ls ->
  (basin Ls x y <-> basin (rotate l Ls) (section Ls l x) (section Ls l y)).
Proof.
  intros fixed continuous Hl. split.
  - exact (carried_forward Ls l x y continuous Hl).
  - exact (carried_back Ls l x y fixed continuous Hl).
Qed.

(** The rotated loop is continuous along the sections of the fixed point too. *)
Lemma continuous_along_app (A B : list (X -> X)) x :
  continuous_along A x -> continuous_along B (loop A x) -> continuous_along (A ++ B) x.
Proof.
  intros first second l Hl. rewrite app_length in Hl.
  destruct (lt_dec l (length A)) as [inside | beyond].
  - unfold layer, section. rewrite app_nth1 by exact inside. rewrite firstn_app.
    replace (l - length A) with 0 by lia. simpl. rewrite app_nil_r. exact (first l inside).
  - unfold layer, section. rewrite app_nth2 by lia. rewrite firstn_app, firstn_all2 by lia.
    rewrite loop_app. apply second. lia.
Qed.

Lemma continuous_along_rotate Ls (l : nat) x :
  loop Ls x = x -> continuous_along Ls x -> continuous_along (rotate l Ls) (section Ls l x).
Proof.
  intros fixed continuous. apply continuous_along_app.
  - apply continuous_along_rest. exact continuous.
  - rewrite <- loop_cut, fixed. intros j Hj. rewrite firstn_length in Hj.
    destruct (le_lt_dec l (length Ls)) as [short | long].
    + destruct (continuous_along_firstn Ls l j x short ltac:(lia)) as [-> ->]. apply continuous. lia.
    + rewrite firstn_all2 by lia. apply continuous. lia.
Qed.

Lemma rotate_rotate Ls (l : nat) : l < length Ls -> rotate 1 (rotate l Ls) = rotate (S l) Ls.
Proof.
  intros Hl. unfold rotate.
  assert (cut : skipn l Ls = layer Ls l :: skipn (S l) Ls).
  { clear - Hl. revert l Hl. induction Ls as [|L Ls IH]; intros l Hl; simpl in Hl; [lia|].
    destruct l as [|l]; [reflexivity|]. simpl. rewrite IH by lia. reflexivity. }
  rewrite cut, (firstn_S X Ls l Hl). simpl. rewrite <- app_assoc. reflexivity.
Qed.

(** One layer at a time, for every state [y] of section [l], whether or not an orbit of the loop passes there:
    [y] is in the basin of [x_l] exactly if [L_l(y)] is in the basin of [x_{l+1}]. *)
Theorem basins_carried_by_layers Ls (l : nat) x y :
  loop Ls x = x -> continuous_along Ls x -> l < length Ls ->
  (basin (rotate l Ls) (section Ls l x) y <->
   basin (rotate (S l) Ls) (section Ls (S l) x) (layer Ls l y)).
Proof.
  intros fixed continuous Hl.
  assert (long : 0 < length (rotate l Ls)).
  { unfold rotate. rewrite app_length, skipn_length. lia. }
  assert (head : layer (rotate l Ls) 0 = layer Ls l).
  { replace (layer Ls l) with (layer (skipn l Ls) 0) by (rewrite layer_skipn; f_equal; lia).
    unfold rotate, layer. rewrite app_nth1; [reflexivity|]. rewrite skipn_length. lia. }
  rewrite (basins_carried_to_section (rotate l Ls) 1 (section Ls l x) y
             (rotation_fixed_point X Ls l x fixed) (continuous_along_rotate Ls l x fixed continuous) long).
  rewrite (rotate_rotate Ls l Hl), !section_S by (assumption || lia). rewrite !section_0, head. reflexivity.
Qed.

End Limits.

Arguments continuous_at {X}. Arguments continuous_along {X}. Arguments basin {X}.

Section LimitsOfIncrements.

Variable G : Group.
Variable C : Convergence G.
Open Scope state_scope.
Implicit Types (x : G) (Ls : list (G -> G)).

(** T2, T3 for an orbit that converges: its limit is a fixed point, the polygon there is closed, and exactly one horn
    of the dichotomy holds there. *)
Theorem limit_polygon_closes Ls x0 x :
  continuous_along C Ls x -> tends C (fun t => iterate (loop Ls) t x0) x -> sum (increments Ls x) = zero.
Proof. intros continuous limit. apply closed_polygon. exact (limit_is_fixed G C Ls x0 x continuous limit). Qed.

Theorem dichotomy_of_limits (decide : forall a b : G, {a = b} + {a <> b}) Ls x0 x :
  continuous_along C Ls x -> tends C (fun t => iterate (loop Ls) t x0) x ->
  (vanishing Ls x \/ cyclic Ls x) /\ ~ (vanishing Ls x /\ cyclic Ls x).
Proof. intros continuous limit. apply (dichotomy G decide). exact (limit_is_fixed G C Ls x0 x continuous limit). Qed.

(** Where subtraction is continuous (a topological group), each layer's increment along the orbit tends to its increment
    at the limit: to zero for all layers (vanishing), or to a constant that is not zero for two of them (cyclic). *)
Theorem increments_converge Ls x0 x (l : nat) :
  (forall u v a b, tends C u a -> tends C v b -> tends C (fun t => u t - v t) (a - b)) ->
  continuous_along C Ls x -> tends C (fun t => iterate (loop Ls) t x0) x -> l < length Ls ->
  tends C (fun t => increment Ls l (iterate (loop Ls) t x0)) (increment Ls l x).
Proof.
  intros subtraction continuous limit Hl. unfold increment.
  apply (subtraction (fun t => layer Ls l (section Ls l (iterate (loop Ls) t x0)))
                     (fun t => section Ls l (iterate (loop Ls) t x0))).
  - apply continuous; [exact Hl|]. apply (sections_converge G C Ls x0 x l continuous limit). lia.
  - apply (sections_converge G C Ls x0 x l continuous limit). lia.
Qed.

End LimitsOfIncrements.

(** * Part 4: Hausdorff spaces have such limits *)

(** A topological space in which points that no two open sets separate are equal. *)
Record Hausdorff (X : Type) : Type := {
  open : (X -> Prop) -> Prop;
  open_everything : open (fun _ => True);
  open_meet : forall U V, open U -> open V -> open (fun x => U x /\ V x);
  open_union : forall (family : (X -> Prop) -> Prop),
      (forall U, family U -> open U) -> open (fun x => exists U, family U /\ U x);
  separated : forall x y,
      (forall U V, open U -> open V -> U x -> V y -> exists z, U z /\ V z) -> x = y
}.

Arguments open {X}. Arguments separated {X}.

Section Topology.

Variable X : Type.
Variable T : Hausdorff X.

(** The usual definitions. *)
Definition converges (u : nat -> X) (x : X) : Prop :=
  forall U, open T U -> U x -> exists n, forall t, n <= t -> U (u t).

Definition topologically_continuous_at (f : X -> X) (x : X) : Prop :=
  forall V, open T V -> V (f x) -> exists U, open T U /\ U x /\ forall y, U y -> V (f y).

Lemma converges_unique (u : nat -> X) (x y : X) : converges u x -> converges u y -> x = y.
Proof.
  intros to_x to_y. apply (separated T). intros U V openU openV Ux Vy.
  destruct (to_x U openU Ux) as [n Hn]. destruct (to_y V openV Vy) as [m Hm].
  exists (u (n + m)). split; [apply Hn | apply Hm]; lia.
Qed.

Lemma converges_later (u : nat -> X) (x : X) : converges u x <-> converges (fun t => u (S t)) x.
Proof.
  split; intros to_x U openU Ux; destruct (to_x U openU Ux) as [n Hn].
  - exists n. intros t Ht. apply Hn. lia.
  - exists (S n). intros [|t] Ht; [lia|]. apply Hn. lia.
Qed.

Lemma converges_same (u v : nat -> X) (x : X) : (forall t, u t = v t) -> converges u x -> converges v x.
Proof.
  intros same to_x U openU Ux. destruct (to_x U openU Ux) as [n Hn].
  exists n. intros t Ht. rewrite <- same. exact (Hn t Ht).
Qed.

Definition hausdorff_convergence : Convergence X :=
  {| tends := converges; tends_unique := converges_unique;
     tends_later := converges_later; tends_same := converges_same |}.

Lemma continuous_by_sequences (f : X -> X) (x : X) :
  topologically_continuous_at f x -> continuous_at hausdorff_convergence f x.
Proof.
  intros continuous u to_x V openV Vfx. destruct (continuous V openV Vfx) as [U [openU [Ux inside]]].
  destruct (to_x U openU Ux) as [n Hn]. exists n. intros t Ht. exact (inside _ (Hn t Ht)).
Qed.

(** T2 in the words of topology. *)
Theorem limit_is_fixed_in_hausdorff_spaces (Ls : list (X -> X)) (x0 x : X) :
  (forall l, l < length Ls -> topologically_continuous_at (layer Ls l) (section Ls l x)) ->
  converges (fun t => iterate (loop Ls) t x0) x ->
  loop Ls x = x /\
  forall l, l <= length Ls -> converges (fun t => section Ls l (iterate (loop Ls) t x0)) (section Ls l x).
Proof.
  intros continuous limit.
  assert (along : continuous_along hausdorff_convergence Ls x).
  { intros l Hl. apply continuous_by_sequences, continuous, Hl. }
  split.
  - exact (limit_is_fixed X hausdorff_convergence Ls x0 x along limit).
  - intros l. exact (sections_converge X hausdorff_convergence Ls x0 x l along limit).
Qed.

End Topology.

(** * Part 5: maps of the integers *)

Module Integers.

Open Scope Z_scope.

Definition integers : Group :=
  {| state := Z; zero := 0; plus := Z.add; minus := Z.opp; plus_assoc := Z.add_assoc; plus_comm := Z.add_comm;
     plus_zero := Z.add_0_r; plus_minus := Z.add_opp_diag_r |}.

Definition add (n x : Z) : Z := x + n.

(** Carry out the loop, leave the arithmetic of [Z] to [lia]. *)
Ltac carry_out :=
  cbv [increments increment section layer loop rotate iterate sum fold_left fold_right map seq firstn skipn nth length
       app concat repeat add integers state zero plus minus]; lia.

(** Both horns occur. *)
Example identity_vanishes (x : Z) : vanishing (G := integers) [(fun y => y); (fun y => y)] x.
Proof. split; intros [|[|l]] Hl; simpl in Hl; try lia; carry_out. Qed.

Example there_and_back_is_cyclic (x : Z) : cyclic (G := integers) [add 1; add (-1)] x.
Proof. split; exists 0%nat, 1%nat; repeat split; carry_out. Qed.

(** Cyclic does not say that the sections are pairwise distinct: x -> y -> x -> y -> x. *)
Example sections_may_repeat (x : Z) :
  let Ls := [add 1; add (-1); add 1; add (-1)] in
  loop Ls x = x /\ cyclic (G := integers) Ls x /\ section Ls 0 x = section Ls 2 x.
Proof.
  intros Ls. subst Ls. split; [carry_out|]. split; [|carry_out].
  split; exists 0%nat, 1%nat; repeat split; carry_out.
Qed.

(** The class depends on what is called a layer: the two steps above as one layer vanish. *)
Example coarser_layers_vanish (x : Z) : vanishing (G := integers) [(fun y => add (-1) (add 1 y))] x.
Proof. apply (one_layer_vanishes integers). carry_out. Qed.

(** Without a fixed point (C1, the ray) exactly one layer may be active, and the polygon does not close. *)
Example ray_has_one_active_layer (x : Z) :
  let Ls := [add 1; (fun y => y)] in
  increment (G := integers) Ls 0 x <> 0 /\ increment (G := integers) Ls 1 x = 0 /\
  sum (increments (G := integers) Ls x) <> 0.
Proof. intros Ls. subst Ls. repeat split; carry_out. Qed.

(** Equal minimal periods need a periodic state: 5 -> 0 -> 0 has none, but its section after the first layer rests. *)
Example section_may_rest_first :
  let Ls := [(fun _ => 0); (fun y => y)] in
  minimal_period (loop (rotate 1 Ls)) (section Ls 1 5) 1 /\ forall p, ~ minimal_period (loop Ls) 5 p.
Proof.
  intros Ls. subst Ls. split.
  - repeat split; [lia | intros q Hq; lia].
  - intros [|p] [positive [return_ _]]; [lia|].
    assert (rests : iterate (loop [(fun _ : Z => 0); (fun y => y)]) (S p) 5 = 0) by reflexivity.
    lia.
Qed.

End Integers.

(** * What the theorems rest on *)

Print Assumptions telescoping.
Print Assumptions rotation_fixed_point.
Print Assumptions closed_polygon.
Print Assumptions never_one_active_layer.
Print Assumptions dichotomy.

(** And all the others, in one. *)
Definition the_others :=
  (@rotation_fixed_point_back, @equal_minimal_periods, @one_period_at_all_sections,
   @closed_polygon_of_cycle, @one_layer_vanishes, @never_one_active_layer_of_a_part,
   @limit_is_fixed, @sections_converge, @basins_carried_to_section,
   @basins_carried_by_layers, @limit_polygon_closes, @dichotomy_of_limits,
   @increments_converge, @limit_is_fixed_in_hausdorff_spaces).

Print Assumptions the_others.
